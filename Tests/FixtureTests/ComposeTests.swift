// SPDX-License-Identifier: Apache-2.0

import Foundation
import RedisSessions
import TestSupport
import Testing

/// The containers' picture is the native demo's: commands, ports, environment, health paths.
///
/// Container engines are not at hand everywhere, so nothing is started from an image here; what the files say
/// is compared with the scripts. `ContainerTests` run the same commands natively.
@Suite struct ComposeTests {
    private static let instances = ContainerFiles.instances
    private let files: ContainerFiles

    init() throws { files = try ContainerFiles() }

    @Test func `the containers are the demo's processes, and what makes their secrets`() throws {
        let profile = Set(try files.services.keys.filter { try files.service($0)["profiles"] != nil })
        #expect(profile == ["redis-replica", "sentinel1", "sentinel2", "sentinel3"])
        for name in profile { #expect(try files.service(name)["profiles"]?.texts == ["sentinel"]) }
        let always = try files.services.keys.subtracting(profile)
        #expect(always == Set(["secrets", "redis", "haproxy"] + Self.instances))
        #expect(files.demo.contains("instances=(\(Self.instances.joined(separator: " ")))"))
    }

    @Test func `instances get the same settings, and the program knows each of them`() async throws {
        let help = try await run(ContainerFiles.program("Storefront").path, ["--help"])
        let known = ContainerFiles.names(in: help)
        #expect(known == ContainerFiles.names(in: files.demo))
        for name in Self.instances {
            let environment = try files.environment(of: name)
            #expect(Set(environment.keys) == known)
            #expect(environment["STOREFRONT_INSTANCE"] == name)
            #expect(environment["STOREFRONT_HOST"] == "0.0.0.0")
            #expect(environment["STOREFRONT_REDIS"] == "redis://redis:6379")
            #expect(
                files.demo.contains(
                    "STOREFRONT_PLAIN_HTTP=\(try #require(environment["STOREFRONT_PLAIN_HTTP"])) "
                )
            )
            #expect(try files.service(name)["build"]?.text == ".")
        }
    }

    @Test func `the shop's user in Redis has the rights that its store needs, and no others`() throws {
        let lines = try ContainerFiles.read("Samples/containers/users.acl").split(separator: "\n")
        let line = try #require(lines.first { $0.hasPrefix("user storefront ") })
        let rules = try RedisSessionStore.accessRules(application: "storefront")
        #expect(line == "user storefront on #SHOP_HASH \(rules) +role")
        #expect(lines.contains("user default off"))
        let shop = try ContainerFiles.read("Samples/Storefront/Strategy.swift")
        #expect(shop.contains("RedisSessionStore(redis, application: \"storefront\")"))
        #expect(try files.environment(of: "app1")["STOREFRONT_REDIS_USER"] == "storefront")
    }

    @Test func `no file holds a secret, and each container gets its own only`() throws {
        for name in Self.instances {
            let environment = try files.environment(of: name)
            #expect(environment["STOREFRONT_REDIS_PASSWORD_FILE"] == "/run/secrets/app/redis_password")
            #expect(environment["STOREFRONT_SEAL_KEYS"] == "")
            #expect(try files.service(name)["volumes"]?.texts == ["app:/run/secrets/app:ro"])
        }
        #expect(!files.composeText.contains(/:[^\s@\/]+@/), "a URL with a password")
        #expect(!files.composeText.contains("requirepass"))
        let secret = /^[a-z]+:\/run\/secrets\/[a-z]+:ro$/
        for name in ["redis", "redis-replica"] {
            let mounts = (try files.service(name)["volumes"]?.texts ?? []).filter {
                $0.wholeMatch(of: secret) != nil
            }
            #expect(Set(mounts) == ["app:/run/secrets/app:ro", "redis:/run/secrets/redis:ro"])
        }
        #expect(try files.service("haproxy")["volumes"]?.texts.last == "tls:/run/secrets/tls:ro")
        // What is made on the way to Kubernetes stays out of the repository and of the image.
        #expect(try ContainerFiles.read(".gitignore").contains(".secrets/\n"))
        #expect(try ContainerFiles.read(".dockerignore").contains("\n.secrets\n"))
    }

    @Test func `only the balancer is published, and to this machine alone`() throws {
        for name in try files.services.keys where name != "haproxy" {
            #expect(try files.service(name)["ports"] == nil, "\(name) is not published")
        }
        let ports = try files.service("haproxy")["ports"]?.texts ?? []
        #expect(ports == ["127.0.0.1:8443:8443", "127.0.0.1:8080:8080"])
    }

    @Test func `each container waits for what it needs, and is started again when it ends`() throws {
        let conditions = { (name: String) in
            let needed = try files.service(name)["depends_on"]
            return try (needed?.keys ?? []).reduce(into: [String: String]()) {
                $0[$1] = try #require(needed?[$1]?["condition"]?.text)
            }
        }
        let (done, healthy) = ("service_completed_successfully", "service_healthy")
        let sentinels = ["sentinel1", "sentinel2", "sentinel3"]
        for name in Self.instances {
            let needed = try conditions(name)
            #expect(needed["secrets"] == done)
            for other in ["redis"] + sentinels { #expect(needed[other] == healthy) }
            // They exist with the profile alone.
            for other in sentinels {
                #expect(try files.service(name)["depends_on"]?[other]?["required"]?.text == "false")
            }
        }
        #expect(try conditions("haproxy") == ["app1": healthy, "app2": healthy, "app3": healthy])
        for name in ["redis", "redis-replica"] { #expect(try conditions(name) == ["secrets": done]) }
        for name in sentinels {
            #expect(try conditions(name) == ["redis": healthy, "redis-replica": healthy])
        }
        for name in try files.services.keys {
            let service = try files.service(name)
            let isOnce = name == "secrets"
            #expect(service["restart"]?.text == (isOnce ? "no" : "unless-stopped"))
            let isChecked = service["healthcheck"]?["test"] != nil || Self.instances.contains(name)
            #expect(isChecked != isOnce, "the instances' check is in the Dockerfile")
            guard !isOnce else { continue }
            #expect(service["cap_drop"]?.texts == ["ALL"])
            #expect(service["security_opt"]?.texts == ["no-new-privileges:true"])
        }
    }

    @Test func `a container that is told to stop has the time to drain`() throws {
        let seconds = { (name: String) in
            let text = try #require(try files.service(name)["stop_grace_period"]?.text)
            return try #require(Int(text.dropLast()))
        }
        let notice = try ContainerFiles.noticeSeconds()
        for name in Self.instances { #expect(try seconds(name) >= notice + 10) }
        let hard = try #require(files.haproxy.firstMatch(of: /hard-stop-after (\d+)s/)).1
        #expect(try seconds("haproxy") > Int(hard)!)
        // The notice is longer than the checks by which the balancer sees it.
        let check = try #require(
            files.haproxy.firstMatch(of: /check inter (\d+)ms fastinter \d+ms fall (\d)/)
        )
        #expect(notice * 1000 > Int(check.1)! * Int(check.2)!)
        #expect(files.dockerfile.contains("STOPSIGNAL SIGTERM"))
    }

    @Test func `the balancer runs the demo's configuration with the containers' addresses`() async throws {
        let environment = try files.environment(of: "haproxy")
        let used = Set(files.haproxy.matches(of: /"\$\{(\w+)\}"/).map { String($0.1) })
        #expect(used.union(["LISTEN_TLS"]) == Set(environment.keys))
        #expect(files.haproxy.contains("bind \"${LISTEN_TLS}\" ssl crt \"${CERTIFICATE}\""))
        for name in Self.instances {
            let port = try #require(try files.environment(of: name)["STOREFRONT_PORT"])
            #expect(environment[name.uppercased()] == "\(name):\(port)")
            #expect(files.haproxy.contains("server \(name) \"${\(name.uppercased())}\""))
        }
        #expect(environment["LISTEN"] == "0.0.0.0:8080" && environment["LISTEN_TLS"] == "0.0.0.0:8443")
        let mount = try #require(try files.service("haproxy")["volumes"]?.texts.first).split(separator: ":")
        #expect(mount[0] == "./Samples/haproxy.cfg" && files.demo.contains("Samples/haproxy.cfg"))
    }

    @Test func `an instance with the containers' settings answers the path that everybody checks`()
        async throws
    {
        let path = try #require(files.haproxy.firstMatch(of: /http-check send meth GET uri (\S+)/)).1
        let checked = try #require(
            files.dockerfile.firstMatch(of: /HEALTHCHECK .*"http:\/\/127\.0\.0\.1:(\d+)([^"]+)"/)
        )
        let environment = try files.environment(of: "app1")
        #expect(checked.2 == path)
        #expect(String(checked.1) == environment["STOREFRONT_PORT"])
        #expect(files.dockerfile.contains("EXPOSE \(checked.1)\n"))

        let site = try await NativeContainers()
        let redis = try await site.startRedis()
        let instance = try await site.startInstance("app1")
        #expect(await ContainerFiles.status(site.ports["app1:8080"]!, String(path)) == "200")
        for child in [instance, redis] { await child.stop(SIGKILL) }
    }

    @Test func `an instance that is told to stop says so before it closes its port`() async throws {
        let redis = try await RedisServer()
        let port = try freePort()
        let instance = try ChildProcess(
            ContainerFiles.program("Storefront").path,
            ["--port", "\(port)", "--redis", redis.url, "--plain-http"]
        )
        #expect(await poll(seconds: 20) { await ContainerFiles.status(port, "/healthz") == "200" })
        instance.send(SIGTERM)
        #expect(await poll(seconds: 5) { await ContainerFiles.status(port, "/healthz") == "503" })
        #expect(await ContainerFiles.status(port, "/") == "200")
        #expect(try await instance.wait(seconds: 15) == 0)
    }
}
