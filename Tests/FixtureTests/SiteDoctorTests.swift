// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// `sessionctl doctor --site`, on instances behind a real HAProxy.
@Suite(.serialized, .timeLimit(.minutes(10))) struct SiteDoctorTests {
    /// HAProxy before two instances, each request to the next one.
    private struct Site: Sendable {
        let port: Int
        private let apps: [FixtureApp]
        private let haproxy: ChildProcess
        private let folder: URL

        // `rules` are lines for the answers; with `hasTLS` it has a certificate of its own.
        init(_ apps: [FixtureApp], _ rules: [String] = [], hasTLS: Bool = false) async throws {
            self.apps = apps
            port = try freePort()
            let folder = try await hasTLS ? certificates(for: "DNS:localhost") : makeTemporaryFolder("site")
            self.folder = folder
            var bind = "127.0.0.1:\(port)"
            if hasTLS {
                let parts = try ["server.crt", "server.key"].map {
                    try Data(contentsOf: folder.appending(path: $0))
                }
                try Data(parts.joined()).write(to: folder.appending(path: "site.pem"))
                bind += " ssl crt \(folder.path)/site.pem alpn h2,http/1.1"
            }
            let servers = apps.map { "    server \($0.instance) 127.0.0.1:\($0.port)" }
            let text = """
                defaults
                    mode http
                    timeout connect 5s
                    timeout client 30s
                    timeout server 30s
                frontend site
                    bind \(bind)
                    default_backend instances
                backend instances
                    balance roundrobin
                \((rules.map { "    \($0)" } + servers).joined(separator: "\n"))

                """
            let file = folder.appending(path: "site.cfg")
            try text.write(to: file, atomically: false, encoding: .utf8)
            haproxy = try ChildProcess("haproxy", ["-db", "-f", file.path])
            let isUp = await poll(seconds: 20) { [port] in
                hasTLS
                    ? (try? await run("bash", ["-c", "exec 3<>/dev/tcp/127.0.0.1/\(port)"])) != nil
                    : (try? await Browser().get("/healthz", on: Door(port: port)).status) == 200
            }
            #expect(isUp, "\(haproxy.text.suffix(1000))")
        }

        private struct Door: Listener { let port: Int }

        var authority: URL { folder.appending(path: "ca.crt") }

        func stop() async {
            await haproxy.stop(SIGTERM)
            for app in apps { await app.kill9() }
            removeTemporaryFolder(folder)
        }
    }

    private func apps(_ redis: RedisServer, prefixes: [String]) async throws -> [FixtureApp] {
        var apps: [FixtureApp] = []
        for (index, prefix) in prefixes.enumerated() {
            let options = FixtureApp.Options(redis: redis.url, prefix: prefix)
            apps.append(try await FixtureApp.started(options, instance: "app\(index)"))
        }
        return apps
    }

    /// The findings by their names, and how the program ended.
    private func examine(_ url: String, _ more: String...) async throws -> (
        findings: [String: JSON], exitCode: Int32
    ) {
        let run = try await Sessionctl(["doctor", "--site", url, "--json"] + more)
        var findings: [String: JSON] = [:]
        for finding in try run.json["findings"].array { findings[finding["check"].string ?? ""] = finding }
        return (findings, run.exitCode)
    }

    @Test func `a site as it should be has no finding, also over TLS`() async throws {
        let redis = try await RedisServer()
        let hsts = "http-response set-header Strict-Transport-Security max-age=300"
        for hasTLS in [false, true] {
            let site = try await Site(try await apps(redis, prefixes: ["a", "a"]), [hsts], hasTLS: hasTLS)
            let url = hasTLS ? "https://localhost:\(site.port)/visit" : "http://127.0.0.1:\(site.port)/visit"
            let more = hasTLS ? ["--site-ca-file", site.authority.path] : []
            let run = try await Sessionctl(["doctor", "--site", url] + more)
            #expect(run.exitCode == 0, "\(run.output)\(run.errors)")
            for check in ["site", "https", "cookie", "caching", "visitors", "instances"] {
                #expect(run.lines.contains { $0.hasPrefix("ok") && $0.contains(" \(check) ") }, "\(check)")
            }
            #expect(run.output.contains("all of 12 answers"), "\(run.output)")
            if hasTLS {
                let distrusted = try await examine(url)
                #expect(distrusted.findings["site"]?["status"].string == "problem")
                #expect(distrusted.exitCode == 2)
            }
            await site.stop()
        }
    }

    @Test func `instances that do not share their sessions are told`() async throws {
        let redis = try await RedisServer()
        let site = try await Site(try await apps(redis, prefixes: ["a", "b"]))
        let (findings, exitCode) = try await examine("http://127.0.0.1:\(site.port)/visit")
        #expect(findings["instances"]?["status"].string == "problem")
        #expect(findings["instances"]?["advice"].string?.contains("application name") == true)
        #expect(exitCode == 2)
        await site.stop()
    }

    @Test func `sessions in the memory of one instance are told, where a balancer hides it`() async throws {
        try await MappedSite.with(.haproxyCookie, store: "memory") { site in
            let (findings, exitCode) = try await examine("http://127.0.0.1:\(site.balancer.port)/visit")
            #expect(findings["instances"]?["status"].string == "warning", "\(findings)")
            #expect(exitCode == 1)
        }
        try await MappedSite.with(.haproxyCookie, store: "redis") { site in
            let (findings, exitCode) = try await examine("http://127.0.0.1:\(site.balancer.port)/visit")
            #expect(findings["instances"]?["status"].string == "ok", "\(findings)")
            #expect(exitCode == 0)
        }
    }

    @Test(arguments: [
        (#"http-response replace-header Set-Cookie "(.*); *Secure(.*)" "\1\2""#, "cookie", "Secure"),
        (#"http-response replace-header Set-Cookie "(.*); *HttpOnly(.*)" "\1\2""#, "cookie", "HttpOnly"),
        ("http-response del-header Cache-Control", "caching", "missing"),
        ("http-response set-header Cache-Control \"public, max-age=60\"", "caching", "public"),
        ("http-response set-header Age 5", "caching", "from a cache"),
        (
            "http-response set-header Set-Cookie \"__Host-session=x; Path=/; Secure; HttpOnly; SameSite=Lax\"",
            "visitors", "same cookie"
        ),
        ("http-request return status 503", "site", "503"),
    ])
    func `what the balancer spoils is told`(rule: String, check: String, word: String) async throws {
        let redis = try await RedisServer()
        let rules = rule.hasPrefix("http-request") ? ["\(rule) if { path /visit }"] : [rule]
        let site = try await Site(try await apps(redis, prefixes: ["a"]), rules)
        let (findings, exitCode) = try await examine("http://127.0.0.1:\(site.port)/visit")
        #expect(findings[check]?["status"].string == "problem", "\(findings)")
        #expect(findings[check]?["text"].string?.contains(word) == true, "\(findings)")
        #expect(findings[check]?["advice"].string?.isEmpty == false)
        #expect(exitCode == 2)
        await site.stop()
    }

    @Test func `a page without a session, and no site at all, are told`() async throws {
        let redis = try await RedisServer()
        let site = try await Site(try await apps(redis, prefixes: ["a"]))
        let (findings, exitCode) = try await examine("http://127.0.0.1:\(site.port)/none")
        #expect(findings["cookie"]?["status"].string == "warning")
        #expect(exitCode == 1)
        await site.stop()
        let gone = try await examine("http://127.0.0.1:\(site.port)/none")
        #expect(gone.findings["site"]?["status"].string == "problem")
        #expect(gone.exitCode == 2)
        for url in ["ftp://localhost", "http://ann:secret@localhost/", "localhost"] {
            let run = try await Sessionctl(["doctor", "--site", url])
            #expect(run.exitCode == 64 && run.errors.contains("http://"), "\(run.errors)")
        }
    }
}
