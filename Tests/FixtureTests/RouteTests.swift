// SPDX-License-Identifier: Apache-2.0

import Foundation
import SessionsTesting
import TestSupport
import Testing

/// What route cookies say, and what made-up ones do: a hint without any power (R86).
@Suite(.serialized, .timeLimit(.minutes(10))) struct RouteTests {
    @Test(arguments: Pinning.byCookie) func `the route is a cookie of its own that tells nothing`(
        pinning: Pinning
    ) async throws {
        try await MappedSite.with(pinning, store: "memory") { site in
            var routes: [String] = []
            for index in 0..<30 {
                let user = User(index, site)
                // An answer that caches may keep otherwise.
                let reply = try await user.get("/none")
                let line = try #require(reply.setCookies.first { $0.hasPrefix("__Host-route=") })
                let parts = line.components(separatedBy: "; ")
                #expect(
                    Set(parts.dropFirst().map { $0.lowercased() }) == [
                        "path=/", "secure", "httponly", "samesite=lax",
                    ],
                    "\(line)"
                )
                #expect(reply.cacheControl == ["private"])
                let route = try #require(user.browser.cookie("__Host-route"), "a browser keeps it")
                let again = try await user.get("/none")
                #expect(
                    again.setCookies == [] && again["cache-control"] == nil,
                    "once is enough, and caches are free again"
                )
                try await user.post("/set", ["k": "k", "v": "v"])
                let ticket = try #require(user.browser.ticket)
                #expect(
                    ticket.split(separator: ".").count == 2 && !ticket.contains(route)
                        && !route.contains(ticket.prefix(22))
                )
                routes.append(route)
            }
            if pinning.hasAliases {
                // Random text that the test itself has drawn, before it was given to the balancer.
                #expect(Set(routes).isSubset(of: site.balancer.aliases))
            } else {
                #expect(
                    Set(routes).count == routes.count,
                    "drawn for each browser: the number of instances cannot be counted"
                )
                #expect(routes.allSatisfy { $0.wholeMatch(of: /[0-9a-f-]{32,36}/) != nil })
            }
            let telling =
                ["127", "7f000001", "0100007f", "2130706433", "16777343"] + site.servers.map { "\($0.port)" }
                + site.names
            for form in routes.flatMap(readings) {
                #expect(
                    !form.split { !$0.isLetter && !$0.isNumber }.contains { telling.contains(String($0)) },
                    "\(form)"
                )
            }
        }
    }

    @Test(arguments: Pinning.byCookie)
    func `made-up routes lead to the configured instances only, and cost nobody the session`(
        pinning: Pinning
    ) async throws {
        try await MappedSite.with(pinning, store: "redis") { site in
            let decoy = try await FixtureApp.started(.init(store: "memory"), instance: "decoy")
            let user = User(0, site)
            try await user.post("/login", ["user": user.name])
            let ticket = try #require(user.browser.ticket)
            for route in hostileRoutes(decoy.port, site.balancer.aliases) {
                let head =
                    "GET /whoami HTTP/1.1\r\nHost: site\r\nConnection: close\r\nCookie: __Host-session=\(ticket); __Host-route="
                let bytes = Array(head.utf8) + route + Array("\r\n\r\n".utf8)
                let answer = try await sendRaw(bytes, port: site.balancer.port)
                let text = String(decoding: route, as: UTF8.self).debugDescription
                let status = status(ofRaw: answer)
                // Bytes that no header may hold are the client's mistake.
                let isAllowed = route.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
                #expect(status == 200 || !isAllowed && status == 400, "\(text): \(answer.prefix(80))")
                guard status == 200 else { continue }
                let instance = try #require(answer.firstMatch(of: /(?i)x-instance: (\w+)/), "\(text)").1
                #expect(site.names.contains(String(instance)), "\(text)")
                #expect(answer.contains("\"principal\":\"\(user.name)\""), "\(text)")
                if pinning.hasAliases {
                    let index = try #require(site.servers.firstIndex { $0.instance == instance })
                    #expect(
                        answer.contains("__Host-route=\(site.balancer.aliases[index]);"),
                        "the right one instead of \(text)"
                    )
                }
            }
            await decoy.kill9()
        }
    }

    @Test(arguments: [Pinning.haproxyHash, .nginxHash])
    func `a session without a route goes by its id, whatever its secret`(
        pinning: Pinning
    ) async throws {
        try await MappedSite.with(pinning, store: "redis") { site in
            var homes: Set<String> = []
            for index in 0..<12 {
                let user = User(index, site)
                try await user.post("/set", ["k": "k", "v": "v"])
                var seen: Set<String> = []
                for round in 0..<10 {
                    let api = Browser()
                    api.present(try #require(user.browser.ticket))
                    let reply = try await api.post(
                        "/append",
                        ["k": "rounds", "v": "\(round)"],
                        on: site.balancer
                    )
                    #expect(reply.status == 200 && reply.setCookies == [], "no route is needed")
                    seen.insert(reply.instance)
                    if round == 5 { try await user.post("/login", ["user": user.name, "keep": "rounds"]) }
                }
                #expect(seen.count == 1)
                #expect(
                    try await user.get("/list", ["k": "rounds"]).json["values"].array.count == 10,
                    "with Redis nothing is lost"
                )
                homes.formUnion(seen)
            }
            #expect(homes.count > 1)
        }
    }

    @Test(arguments: Pinning.allCases) func `cookies of 8 KiB pass in both directions`(pinning: Pinning)
        async throws
    {
        let origin = try WideOrigin()
        let balancer = try await Balancer(pinning, before: [origin, origin, origin])
        let browser = Browser()
        for round in 0..<5 {
            let reply = try await browser.get("/", on: balancer)
            #expect(reply.status == 200 && reply.instance == "wide")
            #expect(reply.setCookies.filter { $0.hasPrefix("wide") } == WideOrigin.cookies)
            #expect(round == 0 || (Int(reply.body) ?? 0) > 8000, "the second request carries them")
        }
        await balancer.stop()
        origin.stop()
    }

    @Test(arguments: Pinning.allCases) func `a WebSocket's upgrade passes, and its bytes`(pinning: Pinning)
        async throws
    {
        let origin = try WideOrigin()
        let balancer = try await Balancer(pinning, before: [origin, origin, origin])
        let head = [
            "GET /chat HTTP/1.1", "Host: x", "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ]
        let upgrade = head + ["Connection: keep-alive, Upgrade", "Upgrade: WebSocket", "", ""]
        let answer = try await sendRaw(Array(upgrade.joined(separator: "\r\n").utf8), port: balancer.port)
        #expect(status(ofRaw: answer) == 101 && answer.contains("GET /chat"), "\(answer.prefix(200))")
        // Nothing else that a client asks for is passed on: it would get around what the proxy checks.
        let other = head + ["Connection: Upgrade, close", "Upgrade: h2c", "", ""]
        let refused = try await sendRaw(
            Array(other.joined(separator: "\r\n").replacing("/chat", with: "/echo").utf8),
            port: balancer.port
        )
        if !pinning.isHAProxy, pinning != .nginxSource {
            #expect(status(ofRaw: refused) == 200 && !refused.lowercased().contains("h2c"))
        }
        await balancer.stop()
        origin.stop()
    }

    @Test(arguments: Pinning.byCookie) func `what a client says about its way here is not passed on`(
        pinning: Pinning
    ) async throws {
        let origin = try WideOrigin()
        let balancer = try await Balancer(pinning, before: [origin, origin, origin])
        let answer = try await sendRaw(
            Array(
                "GET /echo HTTP/1.1\r\nHost: x\r\nX-Forwarded-Proto: https\r\nForwarded: proto=https\r\nConnection: close\r\n\r\n"
                    .utf8
            ),
            port: balancer.port
        )
        #expect(status(ofRaw: answer) == 200)
        let lines = answer.lowercased().split(whereSeparator: \.isNewline)
        #expect(lines.filter { $0.hasPrefix("x-forwarded-proto:") } == ["x-forwarded-proto: http"])
        #expect(!lines.contains { $0.hasPrefix("forwarded:") })
        await balancer.stop()
        origin.stop()
    }

    @Test(arguments: [Pinning.nginxCookie, .nginxHash])
    func `a browser whose cookies are too long for the proxy is signed out by its answer`(pinning: Pinning)
        async throws
    {
        try await MappedSite.with(pinning, store: "memory") { site in
            let user = User(1, site)
            try await user.post("/login", ["user": "ann"])
            let ticket = try #require(user.browser.ticket)
            let long = String(repeating: "x", count: 17_000)
            let reply = try await user.browser.send(
                "GET",
                "/whoami",
                on: site.balancer,
                cookies: ["other=\(long); __Host-session=\(ticket)"]
            )
            #expect(reply.status == 400 && user.browser.ticket == nil, "\(reply.status) \(reply.body)")
            #expect(reply.setCookies.count == 3 && reply.cacheControl == ["no-store"])
        }
    }

    @Test(arguments: [Pinning.haproxyHash, .nginxHash]) func `two balancers agree without knowing each other`(
        pinning: Pinning
    ) async throws {
        try await MappedSite.with(pinning, store: "memory") { site in
            let second = try await Balancer(pinning, before: site.servers)
            for index in 0..<12 {
                let user = User(index, site)
                let home = try await user.moveIn()
                let reply = try await user.browser.get("/peek", ["k": "own"], on: second)
                #expect(reply.instance == home && reply.json["value"] == .string(user.name))
            }
            await second.stop()
        }
    }

    @Test(arguments: Pinning.byCookie)
    func `the switch for plain HTTP makes it work without TLS, for development`(
        pinning: Pinning
    ) async throws {
        try await MappedSite.with(pinning, store: "memory", plainHTTP: true) { site in
            for index in 0..<6 {
                let user = User(index, site, plainHTTP: true)
                let home = try await user.moveIn()
                #expect(user.browser.cookie("route") != nil && user.browser.ticket != nil)
                for _ in 0..<10 {
                    let reply = try await user.get("/peek", ["k": "own"])
                    #expect(reply.instance == home && reply.json["value"] == .string(user.name))
                }
            }
        }
    }
}

/// The value as it is, and what the usual encodings would make of it.
private func readings(_ route: String) -> [String] {
    let compact = route.replacing("-", with: "")
    var forms = [route, compact]
    for text in [route, compact] {
        if let bytes = base64URLDecoded(text) { forms.append(String(decoding: bytes, as: UTF8.self)) }
    }
    let bytes = stride(from: 0, to: compact.count - 1, by: 2).compactMap {
        UInt8(compact.dropFirst($0).prefix(2), radix: 16)
    }
    return forms + [String(decoding: bytes, as: UTF8.self)]
}

/// Two hundred values that no balancer gave out.
private func hostileRoutes(_ port: Int, _ aliases: [String]) -> [[UInt8]] {
    var texts = [
        "", " ", "=", ".", "0", "1", "2", "3", "-1", "east", "decoy", "app1", "app2", "app4", "instance1",
        "instance4", "instances",
        "default",
        "127.0.0.1:\(port)", "http://127.0.0.1:\(port)", "127.0.0.1:\(port)/", "unix:/tmp/x",
        "localhost:\(port)", "[::1]:\(port)",
        "2130706433.\(port).0000", "16777343.\(UInt16(port).byteSwapped).0000", "!ABCDEF",
        "rd1o00000000000000000000ffff7f000001o\(port)",
        "../../healthz", "%00", "%0d%0aX-Instance:%20east", "${APP1}", "$upstream_addr", "%[src]", "\"",
        "\"\"", "\"east", "a,b", "a b",
        String(repeating: "a", count: 4000), String(repeating: "%", count: 1000), "é", "\u{202E}", "\t",
        "a\u{0}b", "a\u{7F}b", "a\u{1}b",
    ]
    for alias in aliases {
        texts += [
            "\(alias)0", "0\(alias)", alias.uppercased() + "x", String(alias.dropLast()), "\"\(alias)\"",
            "\(alias),\(aliases[0])",
        ]
    }
    var all = texts.map { Array($0.utf8) } + [[0xFF, 0xFE], [0x80]]
    while all.count < 200 {
        switch all.count % 4 {
        case 0: all.append(Array(randomTicketText(bytes: 16).utf8))
        case 1: all.append(Array(UUID().uuidString.lowercased().utf8))
        case 2: all.append(Array(UUID().uuidString.lowercased().replacing("-", with: "").utf8))
        default: all.append((0..<Int.random(in: 1...40)).map { _ in UInt8.random(in: 0x80...0xFF) })
        }
    }
    return all
}
