// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// The manifests in `Samples/Kubernetes` agree with each other, with the containers and with the program.
@Suite struct KubernetesTests {
    private let files: ContainerFiles
    private let documents: [ComposeFile]

    init() throws {
        files = try ContainerFiles()
        documents = try ["storefront", "redis", "secrets", "network"].flatMap {
            try ComposeFile.documents(ContainerFiles.read("Samples/Kubernetes/\($0).yaml"))
        }
    }

    private func find(_ kind: String, _ name: String) throws -> ComposeFile {
        try #require(
            documents.first { $0["kind"]?.text == kind && $0["metadata"]?["name"]?.text == name },
            "no \(kind) \(name)"
        )
    }

    private func shop() throws -> (set: ComposeFile, pod: ComposeFile, container: ComposeFile) {
        try parts(of: find("Deployment", "storefront"))
    }

    private func redis() throws -> (set: ComposeFile, pod: ComposeFile, container: ComposeFile) {
        try parts(of: find("StatefulSet", "storefront-redis"))
    }

    private func parts(of document: ComposeFile) throws -> (
        set: ComposeFile, pod: ComposeFile, container: ComposeFile
    ) {
        let set = try #require(document["spec"])
        let pod = try #require(set["template"]?["spec"])
        return (set, pod, try #require(pod["containers"]?.items.first))
    }

    /// The variables with a value in the manifest.
    private func environment() throws -> [String: String] {
        try (shop().container["env"]?.items ?? []).reduce(into: [:]) {
            $0[try #require($1["name"]?.text)] = $1["value"]?.text ?? ""
        }
    }

    /// How long a check fails until it counts.
    private func seconds(_ probe: ComposeFile) throws -> Int {
        let period = try #require(probe["periodSeconds"]?.number)
        return period * (try #require(probe["failureThreshold"]?.number))
    }

    @Test func `labels, names and ports find each other`() throws {
        for (name, set) in [("storefront", try shop().set), ("storefront-redis", try redis().set)] {
            let labels = try #require(set["template"]?["metadata"]?["labels"])
            #expect(labels == .map(["app": .text(name)]))
            #expect(set["selector"]?["matchLabels"] == labels)
            #expect(try find("Service", name)["spec"]?["selector"] == labels)
        }
        #expect(try redis().set["serviceName"]?.text == "storefront-redis")
        let budget = try #require(try find("PodDisruptionBudget", "storefront")["spec"])
        #expect(budget["selector"] == (try shop().set["selector"]))
        let replicas = try #require(try shop().set["replicas"]?.number)
        #expect(try #require(budget["minAvailable"]?.number) < replicas)
        let port = try #require(try shop().container["ports"]?.items.first)
        let service = try #require(try find("Service", "storefront")["spec"]?["ports"]?.items.first)
        #expect(service["targetPort"] == port["name"])
        #expect(port["containerPort"]?.text == (try environment()["STOREFRONT_PORT"]))
        #expect(files.dockerfile.contains("EXPOSE \(try #require(port["containerPort"]?.text))\n"))
        let redisPort = try #require(try redis().container["ports"]?.items.first?["containerPort"]?.text)
        #expect(try environment()["STOREFRONT_REDIS"] == "redis://storefront-redis:\(redisPort)")
        let policy = try #require(try find("NetworkPolicy", "storefront-redis")["spec"])
        #expect(policy["podSelector"] == (try redis().set["selector"]))
        let rule = try #require(policy["ingress"]?.items.first)
        #expect(rule["from"]?.items.first?["podSelector"] == (try shop().set["selector"]))
        #expect(rule["ports"]?.items.first?["port"]?.text == redisPort)
    }

    @Test func `images, commands and settings are those of compose`() throws {
        #expect(try shop().container["image"] == files.service("app1")["image"])
        #expect(try redis().container["image"] == files.service("redis")["image"])
        let arguments = try #require(try redis().container["args"]?.texts)
        #expect(Array(try files.service("redis")["command"]?.texts.prefix(2) ?? []) == arguments)
        let check = try redis().container["readinessProbe"]?["exec"]?["command"]?.texts
        #expect(check == (try files.healthCheck(of: "redis")))
        let same = try files.environment(of: "app1")
        let own: Set = ["STOREFRONT_REDIS", "STOREFRONT_INSTANCE"]
        for (name, value) in try environment() {
            let expected = try #require(same[name], "the program does not know \(name)")
            if !own.contains(name) { #expect(value == expected) }
        }
        #expect(
            Set(try environment().keys).isSuperset(
                of: own.union(same.filter { $0.value != "" && $0.value != "false" }.keys)
            )
        )
    }

    @Test func `nothing runs as root or with rights, and the user is the image's`() throws {
        let user = try #require(files.stages[2].firstMatch(of: /useradd --uid (\d+)/)).1
        #expect(files.stages[2].contains("\nUSER \(user)\n"))
        #expect(try shop().pod["securityContext"]?["runAsUser"]?.text == String(user))
        for part in [try shop(), try redis()] {
            #expect(part.pod["securityContext"]?["runAsNonRoot"]?.text == "true")
            let rights = try #require(part.container["securityContext"])
            #expect(rights["allowPrivilegeEscalation"]?.text == "false")
            #expect(rights["readOnlyRootFilesystem"]?.text == "true")
            #expect(rights["capabilities"]?["drop"]?.texts == ["ALL"])
            #expect(part.container["resources"]?["limits"]?["memory"] != nil)
        }
    }

    @Test func `an instance that is told to stop has the time to drain`() throws {
        let (_, pod, container) = try shop()
        let stop = try #require(container["lifecycle"]?["preStop"]?["exec"]?["command"]?.texts)
        let pause = try #require(Int(stop[1]))
        #expect(stop[0] == "sleep")
        let grace = try #require(pod["terminationGracePeriodSeconds"]?.number)
        #expect(grace >= pause + (try ContainerFiles.noticeSeconds()) + 10)
        // A failing check is noticed within the notice.
        let readiness = try #require(container["readinessProbe"])
        let noticed = try seconds(readiness)
        #expect(noticed < (try ContainerFiles.noticeSeconds()))
        // And the liveness check does not restart what is draining.
        let liveness = try #require(container["livenessProbe"])
        let restarted = try seconds(liveness)
        #expect(restarted > grace - pause)
    }

    @Test func `the template of the secrets has the keys that are mounted, and no values`() async throws {
        let made = try await NativeContainers().secretNames()
        for (name, folder) in [("storefront", "app"), ("storefront-redis", "redis")] {
            let secret = try #require(try find("Secret", name)["stringData"])
            #expect(secret.keys == made[folder])
            for key in secret.keys { #expect(secret[key]?.text == "", "\(key) has a value") }
            for part in [try shop(), try redis()] {
                let volumes = part.pod["volumes"]?.items ?? []
                guard volumes.contains(where: { $0["secret"]?["secretName"]?.text == name }) else {
                    #expect(
                        part.set == (try shop().set) && folder == "redis",
                        "the shop has its own secret only"
                    )
                    continue
                }
                let mount = try #require(
                    part.container["volumeMounts"]?.items.first { $0["name"]?.text == folder }
                )
                #expect(mount["mountPath"]?.text == "/run/secrets/\(folder)")
                #expect(mount["readOnly"]?.text == "true")
            }
        }
    }

    @Test func `probes say what the manifest says of them, with Redis and without`() async throws {
        let container = try shop().container
        let path = { (probe: String) throws -> String in
            let get = try #require(container[probe]?["httpGet"])
            #expect(get["port"] == container["ports"]?.items.first?["name"])
            return try #require(get["path"]?.text)
        }
        let site = try await NativeContainers()
        let redis = try await site.startRedis()
        var environment = try environment()
        environment["STOREFRONT_REDIS"] = "redis://redis:6379"
        environment["STOREFRONT_INSTANCE"] = "storefront-5d8f-x2k"
        let instance = try await site.startInstance("app1", environment)
        let port = try #require(site.ports["app1:8080"])
        for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
            #expect(await ContainerFiles.status(port, try path(probe)) == "200")
        }
        await redis.stop(SIGKILL)
        let startup = try path("startupProbe")
        #expect(await poll(seconds: 10) { await ContainerFiles.status(port, startup) == "503" })
        for probe in ["readinessProbe", "livenessProbe"] {
            #expect(await ContainerFiles.status(port, try path(probe)) == "200")
        }
        instance.send(SIGTERM)
        let readiness = try path("readinessProbe")
        #expect(await poll(seconds: 5) { await ContainerFiles.status(port, readiness) == "503" })
        #expect(try await instance.wait(seconds: 15) == 0)
    }
}
