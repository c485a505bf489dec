// SPDX-License-Identifier: Apache-2.0

import Foundation
import Synchronization
import TestSupport
import Testing

/// Promise 6: what Redis, its traffic and the logs show cannot be used as a credential (R33, R75).
@Suite(.serialized, .timeLimit(.minutes(10))) struct SecretsTests {
    @Test func `neither Redis nor its traffic nor the logs show a ticket or a user name`() async throws {
        let redis = try await RedisServer()
        var options = FixtureApp.Options(redis: redis.url, prefix: "secret")
        options.extra = ["--log-level", "trace"]
        let apps = try await [
            FixtureApp.started(options, instance: "a"), FixtureApp.started(options, instance: "b"),
        ]
        let monitor = try await redis.monitor()
        let users = ["alice-zanzibar", "bob-timbuktu"]
        var tickets: Set<String> = []
        var devices: [String] = []
        for user in users {
            let (browser, second) = (Browser(), Browser())
            func note() {
                for holder in [browser, second] { if let ticket = holder.ticket { tickets.insert(ticket) } }
            }
            try await browser.post("/set", ["k": "k", "v": "v"], on: apps[0])
            note()
            try await browser.post("/login", ["user": user, "keep": "k"], on: apps[1])
            note()
            try await browser.post("/renew", on: apps[0])
            note()
            try await browser.post("/append", ["k": "l", "v": "x"], on: apps[1])
            try await second.post("/login", ["user": user], on: apps[0])
            note()
            devices.append(try await browser.get("/devices", on: apps[1]).body)
            try await browser.post("/slow", ["ms": "1", "k": "k", "v": "w"], on: apps[0])
            // What goes wrong must be as silent as what goes well.
            try await second.post("/big", ["bytes": "3000000", "k": "k"], on: apps[0])
            try await second.post("/revoke", ["handle": "nonsense"], on: apps[1])
            let stranger = Browser()
            stranger.present(madeUpTicket(id: browser.id))
            try await stranger.get("/whoami", on: apps[0])
            try await stranger.post("/set", ["k": "k", "v": "v"], on: apps[1])
        }
        #expect(tickets.count == 8)
        let needles = tickets.flatMap(secretForms) + users
        #expect(try await redis.findings(of: needles) == [], "keys and values")

        let mark = UUID().uuidString
        try await redis.admin("ECHO", mark)
        try #require(await poll(seconds: 10) { monitor.text.contains(mark) })
        let trace = monitor.text
        #expect(trace.contains("secret:"), "the trace shows the traffic")
        #expect(needles.filter(trace.contains) == [], "traffic")
        let logs = apps.map(\.output).joined()
        #expect(needles.filter(logs.contains) == [], "logs")
        let listed = devices.joined()
        #expect(tickets.flatMap(secretForms).filter(listed.contains) == [], "device lists")
        await monitor.stop(SIGKILL)
        for app in apps { await app.terminate() }
        await redis.crash()
    }

    /// What goes well and what goes wrong, with every store: nothing secret at any level.
    @Test(arguments: [
        "redis", "redis-cached", "memory", "sealed", "sealed-revocable", "sealed-tiered", "replicated",
    ])
    func `logs at trace level hold no ticket, user name, value, password or key`(store: String) async throws {
        let (user, value, password) = ("alice-zanzibar", "value-okavango", "pw-kilimanjaro")
        let redis = try await RedisServer(["--user", "app", "on", ">\(password)", "~*", "&*", "+@all"])
        var options = FixtureApp.Options(store: store, prefix: "secret")
        let key = sealKey("k1")
        options.extra = ["--log-level", "trace"]
        if store.hasPrefix("sealed") { options.extra += ["--seal-keys", key] }
        let usesRedis = store != "memory" && store != "sealed"
        if usesRedis { options.redis = "redis://app:\(password)@127.0.0.1:\(redis.port)" }
        let app = try await FixtureApp.started(options)
        let tickets = Mutex<Set<String>>([])
        let browser = Browser { ticket in _ = tickets.withLock { $0.insert(ticket) } }
        func play() async throws {
            try await browser.post("/set", ["k": "k", "v": value], on: app)
            let early = browser.clone()
            try await browser.post("/login", ["user": user, "keep": "k"], on: app)
            try await early.post("/append", ["k": "l", "v": value], on: app)
            let earlier = browser.clone()
            try await browser.post("/renew", on: app)
            try await browser.get("/whoami", on: app)
            try await earlier.post("/set", ["k": "k", "v": value], on: app)
            // Conflicts, and values that are refused.
            _ = try await concurrently(8) { _ in
                try await browser.clone().post("/append", ["k": "l", "v": value], on: app)
            }
            try await browser.post("/increment", ["k": "k"], on: app)
            try await browser.get("/list", ["k": "k"], on: app)
            try await browser.post("/big", ["bytes": "3000000", "k": value], on: app)
            try await browser.post("/set", ["k": "@\(value)", "v": value], on: app)
            try await browser.post("/login", ["user": String(repeating: user, count: 500)], on: app)
            try await browser.get("/devices", on: app)
            try await browser.post("/revoke", ["handle": value], on: app)
            try await browser.get("/stream", ["k": "s", "v": value], on: app)
            // Cookies that are no tickets.
            let ticket = browser.ticket ?? ""
            for cookie in [
                madeUpTicket(id: browser.id), ticket + "A", String(ticket.dropLast()),
                ticket + "; __Host-session=x",
                String(repeating: ticket, count: 9),
            ] {
                let cookies = ["__Host-session=\(cookie)"]
                for (method, path) in [("GET", "/whoami"), ("POST", "/append")] {
                    _ = try await Browser().send(
                        method,
                        path,
                        ["k": "k", "v": value],
                        on: app,
                        cookies: cookies
                    )
                }
            }
        }
        func tryAll() async throws {
            for path in ["/append", "/login", "/renew", "/increment", "/logout-all", "/logout"] {
                try await browser.clone().post(path, ["k": "k", "v": value, "user": user], on: app)
            }
            for path in ["/whoami", "/devices", "/readyz"] {
                try await browser.get(path, ["k": "k"], on: app)
            }
        }
        try await play()
        if usesRedis {
            // A record that somebody changed by hand.
            for name in try await redis.keys() where try await redis.admin("TYPE", name) == "hash" {
                try await redis.admin("HSET", name, "@idle", value, "@principal", value, "a:k", value)
            }
            try await tryAll()
            // A right is missing, then the password is wrong, then nobody answers, then all is well again.
            try await redis.admin("ACL", "SETUSER", "app", "-hset", "-get", "-xadd")
            try await tryAll()
            try await redis.admin("ACL", "SETUSER", "app", "+@all", "resetpass", ">other")
            try await redis.admin("CLIENT", "KILL", "USER", "app")
            try await tryAll()
            try await redis.admin("ACL", "SETUSER", "app", ">\(password)")
            redis.freeze()
            try await browser.get("/whoami", on: app)
            redis.thaw()
            #expect(await poll(seconds: 20) { (try? await Browser().get("/readyz", on: app))?.status == 200 })
            try await play()
            await redis.crash()
        }
        try await tryAll()
        await app.terminate()
        var needles = tickets.withLock { $0 }.flatMap(secretForms) + [user, value, password]
        needles.append(String(key.dropFirst(3)))
        let logs = app.output
        #expect(needles.count > 8 && logs.contains(" debug "), "it is told to log everything")
        #expect(!usesRedis || logs.contains(" error "), "it is told of failures")
        let lines = logs.split(whereSeparator: \.isNewline)
        let leaks = lines.filter { line in needles.contains { line.contains($0) } }
        #expect(leaks.isEmpty, "\(leaks.prefix(5).joined(separator: "\n"))")
    }

    @Test func `what Redis stores is not accepted as a ticket`() async throws {
        let redis = try await RedisServer()
        let app = try await FixtureApp.started(.init(redis: redis.url, prefix: "secret"))
        let browser = Browser()
        try await browser.post("/login", ["user": "alice"], on: app)
        let id = try #require(browser.id)
        let key = try #require(try await redis.keys().first { $0.contains(id) })
        #expect(key.hasPrefix("secret:s:"), "the handle names the record")
        let script = """
            local found = {}
            for _, text in ipairs(redis.call('HGETALL', KEYS[1])) do
              found[#found + 1] = text:gsub('.', function(byte) return string.format('%02x', byte:byte()) end)
            end
            return found
            """
        let stored = try await redis.admin("EVAL", script, "1", key).split(separator: "\n").map(String.init)
        #expect(stored.count > 6)
        for text in stored {
            let bytes = stride(from: 0, to: text.count, by: 2).compactMap {
                UInt8(text.dropFirst($0).prefix(2), radix: 16)
            }
            for secret in [String(decoding: bytes, as: UTF8.self), base64URL(bytes), text]
            where secret.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) {
                let thief = Browser()
                let reply = try await thief.send(
                    "GET",
                    "/whoami",
                    on: app,
                    cookies: ["__Host-session=\(id).\(secret)"]
                )
                #expect(reply.json["principal"] == .null && reply.json["handle"] == .null)
            }
        }
        #expect(try await browser.get("/whoami", on: app).json["principal"] == .string("alice"))
        await app.terminate()
        await redis.crash()
    }

    @Test func `a ticket counts in its cookie only`() async throws {
        let app = try await FixtureApp.started(.init(store: "memory"))
        let browser = Browser()
        try await browser.post("/login", ["user": "alice"], on: app)
        let ticket = try #require(browser.ticket)
        for headers in [
            ["Authorization": "Bearer \(ticket)"], ["X-Session": ticket],
            ["Cookie2": "__Host-session=\(ticket)"],
        ]
            as [KeyValuePairs<String, String>]
        {
            let reply = try await Browser().send("GET", "/whoami", on: app, headers: headers)
            #expect(reply.json["principal"] == .null)
        }
        for query in [["__Host-session": ticket], ["session": ticket]] as [KeyValuePairs<String, String>] {
            #expect(try await Browser().get("/whoami", query, on: app).json["principal"] == .null)
        }
        await app.terminate()
    }
}
