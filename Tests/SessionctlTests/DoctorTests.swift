// SPDX-License-Identifier: Apache-2.0

import Foundation
import RedisSessions
import TestSupport
import Testing

/// `sessionctl doctor`, and what every subcommand says of a server that refuses or is not there.
@Suite(.timeLimit(.minutes(10))) struct DoctorTests {
    private static let good = [
        "--appendonly", "yes", "--maxmemory", "64mb", "--maxmemory-policy", "noeviction",
    ]

    private func findings(_ run: Sessionctl) throws -> [String: JSON] {
        var findings: [String: JSON] = [:]
        for finding in try run.json["findings"].array { findings[finding["check"].string ?? ""] = finding }
        return findings
    }

    @Test func `a server as it should be has no finding`() async throws {
        let rules = try RedisSessionStore.operatorRules(application: "shop")
            .split(separator: " ").map(String.init)
        let server = try await RedisServer(
            Self.good + ["--repl-diskless-sync-delay", "0", "--user", "op", "on", ">pw-5d2e"] + rules
        )
        let replica = try await RedisServer(["--replicaof", "127.0.0.1", "\(server.port)"])
        let isOnline = await poll(seconds: 20) {
            (try? await server.admin("INFO", "replication").contains("state=online")) == true
        }
        #expect(isOnline)
        let site = try Site("redis://op:pw-5d2e@127.0.0.1:\(server.port)")
        try await site.session(user: "ann")
        let run = try await site.run("doctor", "--json")
        #expect(run.exitCode == 0, "\(run.output)\(run.errors)")
        #expect(try run.json["status"].string == "ok")
        let findings = try findings(run)
        #expect(
            Set(findings.keys) == [
                "connection", "tls", "user", "rights and scripts", "version", "eviction", "memory",
                "persistence", "replicas", "clock",
            ]
        )
        #expect(findings["replicas"]?["text"].string?.contains(":\(replica.port) online") == true)
        let text = try await site.run("doctor")
        #expect(text.exitCode == 0 && !text.output.contains("pw-5d2e"))
    }

    @Test func `each fault is named with what to change`() async throws {
        let server = try await RedisServer(["--maxmemory-policy", "allkeys-lru"])
        let run = try await Site(server.url).run("doctor", "--json")
        #expect(run.exitCode == 2)
        let findings = try findings(run)
        for (check, status, word) in [
            ("eviction", "problem", "noeviction"), ("memory", "warning", "maxmemory"),
            ("persistence", "warning", "appendonly yes"), ("replicas", "warning", "sentinels"),
            ("user", "warning", "accessRules"),
        ] {
            #expect(findings[check]?["status"].string == status, "\(check)")
            #expect(findings[check]?["advice"].string?.contains(word) == true, "\(check)")
        }
        // Without the problem, warnings are left.
        try await server.admin("CONFIG", "SET", "maxmemory-policy", "noeviction")
        #expect(try await Site(server.url).run("doctor").exitCode == 1)
    }

    @Test func `the rights of schema --acl are enough for every subcommand`() async throws {
        let rules = try await Sessionctl(["schema", "--acl", "--application", "shop"]).output
            .split { $0.isWhitespace }.map(String.init)
        let server = try await RedisServer(Self.good + ["--user", "op", "on", ">pw"] + rules)
        let site = try Site("redis://op:pw@127.0.0.1:\(server.port)")
        let id = try await site.session(user: "ann")
        try await site.session(user: "bob")
        try await site.session(user: "eve")
        for arguments in [
            ["list", "--user", "ann"], ["show", "\(id)", "--user", "ann"], ["stats"], ["revoke", "\(id)"],
            ["revoke-user", "bob"], ["revoke-all", "--yes"],
        ] {
            let run = try await Sessionctl(
                arguments,
                environment: ["SESSIONS_REDIS_URL": site.url, "SESSIONS_APPLICATION": "shop"]
            )
            #expect(run.exitCode == 0, "\(arguments): \(run.errors)")
        }
        let watch = try ChildProcess(
            builtProduct("sessionctl"),
            ["watch", "--count", "1"],
            environment: ["SESSIONS_REDIS_URL": site.url, "SESSIONS_APPLICATION": "shop"]
        )
        #expect(await poll(seconds: 20) { watch.text.contains("watching ") })
        try await site.session()
        #expect(try await watch.wait(seconds: 20) == 0)
        #expect(try await site.run("doctor").exitCode == 1)
        #expect(try await server.admin("ACL", "LOG") == "")
        // Without them, what is missing is an error and not an empty answer.
        for (right, arguments) in [
            ("-scan", ["stats"]), ("-scan", ["revoke-all", "--yes"]), ("-client|tracking", ["watch"]),
            ("-memory|usage", ["stats"]), ("-hgetall", ["show", "\(SessionID())"]),
        ] {
            try await server.admin(["ACL", "SETUSER", "op", "reset", "on", ">pw"] + rules + [right])
            let run = try await Sessionctl(
                arguments,
                environment: ["SESSIONS_REDIS_URL": site.url, "SESSIONS_APPLICATION": "shop"]
            )
            #expect(run.exitCode == 2 && !run.errors.isEmpty, "\(right): \(run.output)")
        }
    }

    @Test func `a missing right is named`() async throws {
        let rules = try RedisSessionStore.operatorRules(application: "shop")
            .split(separator: " ").map(String.init)
        let server = try await RedisServer(["--user", "op", "on", ">pw"] + rules + ["-hgetall"])
        let run = try await Site("redis://op:pw@127.0.0.1:\(server.port)").run("doctor", "--json")
        #expect(run.exitCode == 2)
        let finding = try findings(run)["rights and scripts"]
        #expect(finding?["text"].string?.contains("HGETALL") == true)
    }

    @Test func `a clock that differs is noticed`() async throws {
        let server = try await RedisServer(clockOffset: 90)
        let finding = try findings(try await Site(server.url).run("doctor", "--json"))["clock"]
        #expect(finding?["status"].string == "warning")
        #expect(finding?["text"].string?.contains(" ahead of this machine") == true)
    }

    @Test func `a wrong password is told without the password`() async throws {
        let server = try await RedisServer(
            ["--requirepass", "right-1"],
            adminAuth: ["-a", "right-1", "--no-auth-warning"]
        )
        let site = try Site(server.url)
        for arguments in [
            ["list", "--user", "ann"], ["stats"], ["revoke-all", "--yes"], ["show", "\(SessionID())"],
            ["revoke", "\(SessionID())"], ["watch"],
        ] {
            let run = try await Sessionctl(
                arguments,
                environment: [
                    "SESSIONS_REDIS_URL": server.url, "SESSIONS_APPLICATION": "shop",
                    "SESSIONS_REDIS_PASSWORD": "wrong-9",
                ]
            )
            #expect(run.exitCode == 2 && run.output.isEmpty, "\(arguments)")
            #expect(run.errors.contains("refused"), "\(run.errors)")
            #expect(!run.errors.contains("wrong-9"))
        }
        let doctor = try await site.run("doctor", "--json")
        #expect(doctor.exitCode == 2)
        #expect(try findings(doctor)["connection"]?["status"].string == "problem")
        // The right one, from a file.
        let folder = try makeTemporaryFolder("password")
        defer { removeTemporaryFolder(folder) }
        let file = folder.appending(path: "password")
        try Data("right-1\n".utf8).write(to: file)
        #expect(try await site.run("stats", "--password-file", file.path).exitCode == 0)
    }

    @Test func `a server that is not there is told`() async throws {
        let url = "redis://127.0.0.1:\(try freePort())"
        for arguments in [["list", "--user", "ann"], ["stats"], ["watch"], ["revoke-all", "--yes"]] {
            let run = try await Sessionctl(arguments + ["--application", "shop", "--redis", url])
            #expect(run.exitCode == 2 && run.output.isEmpty, "\(arguments)")
            #expect(run.errors.hasPrefix("sessionctl: "), "\(run.errors)")
        }
        let doctor = try await Sessionctl(["doctor", "--application", "shop", "--redis", url])
        #expect(doctor.exitCode == 2 && doctor.output.contains("problem"))
    }

    @Test func `sentinels and servers are reached over TLS, each with their own password`() async throws {
        let folder = try await certificates(for: "DNS:localhost,IP:127.0.0.1")
        defer { removeTemporaryFolder(folder) }
        let servers = try await SentinelServers(
            ["--user", "op", "on", ">pw-7c1d", "~*", "&*", "+@all"],
            sentinelPassword: "sp-9a2e",
            tls: folder
        )
        var variables = [
            "SESSIONS_REDIS_URL": servers.url, "SESSIONS_APPLICATION": "shop",
            "SESSIONS_REDIS_USER": "op", "SESSIONS_REDIS_PASSWORD": "pw-7c1d",
            "SESSIONS_REDIS_CA": folder.appending(path: "ca.crt").path,
        ]
        let refused = try await Sessionctl(["stats"], environment: variables)
        #expect(refused.exitCode == 2 && refused.errors.contains("refused"), "\(refused.errors)")
        variables["SESSIONS_SENTINEL_PASSWORD"] = "sp-9a2e"
        let list = try await Sessionctl(["list", "--user", "ann", "--json"], environment: variables)
        #expect(list.exitCode == 0, "\(list.errors)")
        let doctor = try await Sessionctl(["doctor", "--json"], environment: variables)
        #expect(try findings(doctor)["tls"]?["text"].string == "the connection is encrypted", "\(doctor)")
        for secret in ["pw-7c1d", "sp-9a2e"] { #expect(!"\(refused)\(list)\(doctor)".contains(secret)) }
        variables["SESSIONS_REDIS_URL"] = "redis://127.0.0.1:1"
        let pointless = try await Sessionctl(["stats"], environment: variables)
        #expect(
            pointless.exitCode == 64 && pointless.errors.contains("redis-sentinel"),
            "\(pointless.errors)"
        )
    }
}
