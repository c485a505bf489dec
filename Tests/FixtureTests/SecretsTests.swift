// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// Promise 6: what Redis, its traffic and the logs show cannot be used as a credential (R33, R75).
@Suite(.serialized, .timeLimit(.minutes(2))) struct SecretsTests {
    @Test func `neither Redis nor its traffic nor the logs show a ticket or a user name`() async throws {
        let redis = try await RedisServer()
        var options = FixtureApp.Options(redis: redis.url, prefix: "secret")
        options.environment = ["LOG_LEVEL": "trace", "SESSIONS_LOG_LEVEL": "trace"]
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
