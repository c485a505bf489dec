// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// The parts of `compose.yaml` run natively: certificate, login, health checks, a failover.
@Suite(.serialized, .timeLimit(.minutes(10))) struct ContainerTests {
    @Test func `a visitor signs in through https, and instances log in to Redis`() async throws {
        let site = try await NativeContainers()
        let redis = try await site.startRedis()
        let one = try await site.startInstance("app1")
        let two = try await site.startInstance("app2")
        let balancer = try await site.startBalancer()

        let visitor = Visitor(
            url: "https://localhost:\(try #require(site.ports["0.0.0.0:8443"]))",
            in: site.folder,
            certificate: site.certificate
        )
        try #expect(await visitor.signIn() == "303")
        let jar = try visitor.jar()
        #expect(jar.contains(/(?m)^#HttpOnly_localhost\tFALSE\t\/\tTRUE\t\d+\t__Host-/), "\(jar)")
        var instances: Set<String> = []
        for _ in 0..<8 {
            let page = try await visitor.front()
            #expect(page.contains("Ann"))
            instances.formUnion(page.matches(of: /(?mi)^x-instance: (\w+)/).map { String($0.1) })
        }
        #expect(instances == ["app1", "app2"])
        // Plain http is there, too, for this machine alone.
        #expect(await ContainerFiles.status(site.ports["0.0.0.0:8080"]!, "/healthz") == "200")

        #expect(try await site.ask("redis", "ACL", "LOG").allSatisfy(\.isWhitespace), "no right was missing")
        #expect(try await site.ask("redis", user: "storefront", "SET", "other:key", "1").contains("NOPERM"))
        #expect(try await site.ask("redis", user: "storefront", "CONFIG", "GET", "*").contains("NOPERM"))
        let anonymous = ["-p", "\(site.ports["redis:6379"]!)", "PING"]
        #expect(try await run("redis-cli", anonymous).contains("NOAUTH"))
        for (option, value) in [("maxmemory-policy", "noeviction"), ("appendonly", "yes")] {
            #expect(try await site.ask("redis", "CONFIG", "GET", option).contains("\n\(value)"))
        }

        // What the images' users can read: the password reaches no process list and no output.
        let password = try String(
            contentsOf: site.secrets.appending(path: "app/redis_password"),
            encoding: .utf8
        )
        for child in [redis, one, two, balancer] {
            #expect(!child.text.contains(password.trimmingCharacters(in: .newlines)))
            await child.stop()
        }
    }

    @Test func `secrets are made once, and rights each time`() async throws {
        let site = try await NativeContainers()
        let folders = ["app/redis_password", "redis/server_password", "tls/site.pem", "redis/redis.conf"]
        let read = {
            try folders.map { try String(contentsOf: site.secrets.appending(path: $0), encoding: .utf8) }
        }
        let script = ContainerFiles.root.appending(path: "Samples/containers/secrets.sh").path
        try await run("sh", [script, site.secrets.path])
        let before = try read()
        try site.edit("redis/users.acl") { _ in "" }
        try await run("sh", [script, site.secrets.path])
        #expect(try read() == before)
        let rights = try String(contentsOf: site.secrets.appending(path: "redis/users.acl"), encoding: .utf8)
        #expect(rights.split(separator: "\n").count == 4 && !rights.contains("_HASH"))
        // A volume that was lost is another one's.
        let other = try await NativeContainers()
        #expect(
            try String(contentsOf: other.secrets.appending(path: folders[0]), encoding: .utf8) != before[0]
        )
    }

    @Test func `with the profile of sentinels the shop goes on when Redis is killed`() async throws {
        let site = try await NativeContainers()
        let primaryPort = try #require(site.ports["redis:6379"])
        let replicaPort = try #require(site.ports["redis-replica:6379"])
        try site.edit("redis/sentinel.conf") {
            $0.replacing("main redis 6379", with: "main localhost \(primaryPort)")
                .replacing("down-after-milliseconds main 3000", with: "down-after-milliseconds main 1000")
        }
        let primary = try await site.startRedis()
        let replica = try await site.startRedis("redis-replica")
        let isFollowing = await poll(seconds: 20) {
            (try? await site.ask("redis-replica", "INFO", "replication"))?.contains("master_link_status:up")
                == true
        }
        try #require(isFollowing, "\(replica.text.suffix(2000))")
        var sentinels: [ChildProcess] = []
        for number in 1...3 { sentinels.append(try await site.startSentinel("sentinel\(number)")) }
        for (index, sentinel) in sentinels.enumerated() {
            let name = "sentinel\(index + 1)"
            try await site.untilHealthy(
                name,
                sentinel,
                port: site.ports["\(name):26379"]!,
                insteadOf: 26379
            )
            let knowsReplica = await poll(seconds: 20) {
                let port = "\(site.ports["\(name):26379"]!)"
                let replicas = try? await run("redis-cli", ["-p", port, "SENTINEL", "REPLICAS", "main"])
                return replicas?.contains("localhost") == true
            }
            try #require(knowsReplica, "\(sentinel.text.suffix(2000))")
        }

        let line = try #require(
            site.files.composeText.firstMatch(
                of:
                    /STOREFRONT_REDIS=(\S+?)sentinel1,sentinel2,sentinel3(\S+) docker compose --profile sentinel/
            )
        )
        let addresses = (1...3).map { "127.0.0.1:\(site.ports["sentinel\($0):26379"]!)" }
        let app = try await site.startInstance(
            "app1",
            ["STOREFRONT_REDIS": line.1 + addresses.joined(separator: ",") + line.2]
        )
        let visitor = Visitor(url: "http://localhost:\(site.ports["app1:8080"]!)", in: site.folder)
        try #expect(await visitor.signIn() == "303")
        let isReplicated = await poll(seconds: 10) {
            (try? await site.ask("redis-replica", "--scan").contains("storefront:")) == true
        }
        #expect(isReplicated)

        await primary.stop(SIGKILL)
        let goesOn = await poll(seconds: 40, every: .milliseconds(200)) {
            (try? await visitor.post("/cart", "product=lamp")) == "303"
        }
        #expect(goesOn, "\(app.text.suffix(1000))\n\(sentinels[0].text.suffix(2000))")
        #expect(try await visitor.front().contains("Ann"))
        #expect(try await site.ask("redis-replica", "ROLE").hasPrefix("master"))
        let port = "\(site.ports["sentinel1:26379"]!)"
        let named = ["-p", port, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main"]
        #expect(try await run("redis-cli", named).contains("\(replicaPort)"))
        #expect(try await site.ask("redis-replica", "ACL", "LOG").allSatisfy(\.isWhitespace))
        for child in [app, replica] + sentinels { await child.stop() }
    }
}

/// A browser made of curl, with a jar for cookies.
private struct Visitor {
    let url: String
    let file: String
    let options: [String]

    /// Trusts one certificate alone where it is given.
    init(url: String, in folder: URL, certificate: String? = nil) {
        self.url = url
        file = folder.appending(path: "jar").path
        let trust = certificate.map { ["--cacert", $0] } ?? []
        options =
            ["--silent", "--show-error", "--max-time", "5", "--ipv4", "--cookie", file, "--cookie-jar", file]
            + trust
    }

    func jar() throws -> String { try String(contentsOfFile: file, encoding: .utf8) }
    func signIn() async throws -> String { try await post("/sign-in", "name=Ann") }

    /// Returns the status.
    func post(_ path: String, _ form: String) async throws -> String {
        let quiet = ["--output", "/dev/null", "--write-out", "%{http_code}"]
        return try await run("curl", options + quiet + ["--data", form, url + path])
    }

    /// Returns the first page with its header.
    func front() async throws -> String { try await run("curl", options + ["--include", "\(url)/"]) }
}
