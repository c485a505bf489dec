// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

/// What arrives in `Cookie` fields, well-meant or not (R53 … R58); over a raw socket, byte for byte.
extension SharedFleet {
    @Suite struct `A Cookie field` {
        let fleet = Fleet.shared

        /// A visitor whose session holds a value that no other has.
        private func visitor() async throws -> (ticket: String, value: String) {
            let browser = fleet.browser()
            let value = "value-\(randomTicketText(bytes: 12))"
            try await browser.post("/set", ["k": "k", "v": value], on: fleet.servers[0])
            return (try #require(browser.ticket), value)
        }

        /// The whole answer to `GET /peek?k=k` with exactly these `Cookie` fields.
        private func peek(_ fields: [[UInt8]], name: String = "Cookie", on server: FixtureApp? = nil)
            async throws -> String
        {
            var request = Array("GET /peek?k=k HTTP/1.1\r\nHost: x\r\nConnection: close\r\n".utf8)
            for field in fields { request += Array("\(name): ".utf8) + field + Array("\r\n".utf8) }
            return try await sendRaw(request + Array("\r\n".utf8), port: (server ?? fleet.servers[1]).port)
        }

        private func peek(_ fields: String..., name: String = "Cookie") async throws -> String {
            try await peek(fields.map { Array($0.utf8) }, name: name)
        }

        @Test func `is found among all kinds of foreign pairs`() async throws {
            let (ticket, value) = try await visitor()
            let own = "__Host-session=\(ticket)"
            let foreign = [
                "a=b", "a", "=", "=a", "a=", ";;;", "a==b", "a=b=c", "\"a\"=\"b\"", "$Version=1", "a=1, b=2",
                "a=%3B", "a= b c ", "a=\"x",
                "b=\"", "a=\\\"",
                "__host-session=evil", "__HOST-SESSION=evil", "__Host-Session=evil", "__Secure-session=evil",
                "session=evil",
                "__Host-sessio=evil",
                "__Host-session2=evil", "x__Host-session=evil", "__%48ost-session=evil",
                "a=1, __Host-session=evil",
                "\u{2000}__Host-session=evil", "\u{A0}__Host-session=evil", "\u{85}__Host-session=evil",
                "__Host-session\u{A0}=evil",
                "__Host-session\u{301}=evil", "a=b\u{37E} __Host-session=evil", "=__Host-session=evil",
                "caf\u{E9}=1",
                "\u{1F36A}=\u{1F36A}",
            ]
            for pair in foreign {
                for line in [
                    "\(pair); \(own)", "\(own); \(pair)", "a=1; \(pair); \(own); \(pair); b=2",
                    "\(pair);\(own)",
                ] {
                    #expect(try await peek(line).contains(value), "\(line.debugDescription.prefix(60))")
                }
            }
            for bytes in [[0xFF, 0xFE], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0x80], [0xF0, 0x9F]] as [[UInt8]] {
                let pair = Array("a=".utf8) + bytes
                #expect(
                    try await peek([pair + Array("; \(own)".utf8)]).contains(value),
                    "\(bytes) in somebody else's cookie"
                )
                #expect(
                    try await peek([Array("\(own); ".utf8) + pair]).contains(value),
                    "\(bytes) behind ours"
                )
            }
        }

        @Test func `may come in several fields, in any letter case, with blanks and tabs`() async throws {
            let (ticket, value) = try await visitor()
            let own = "__Host-session=\(ticket)"
            #expect(try await peek("a=b", own, "c=d").contains(value))
            #expect(try await peek("a=b; \(own)", "c=d").contains(value))
            #expect(try await peek(own, own).contains(value), "the same twice is once")
            #expect(try await peek("\(own); \(own)").contains(value))
            for name in ["cookie", "COOKIE", "cOoKiE"] {
                #expect(try await peek(own, name: name).contains(value))
            }
            #expect(try await peek("\t \(own) \t;\t").contains(value))
            #expect(try await peek("a=1;\t\(own)").contains(value))
        }

        @Test func `that is not exactly ours opens nothing`() async throws {
            let (ticket, value) = try await visitor()
            let strangers = [
                "__host-session=\(ticket)", "__HOST-session=\(ticket)", "session=\(ticket)",
                "__%48ost-session=\(ticket)",
                "__Host-session=\"\(ticket)\"",
                "__Host-session==\(ticket)", "__Host-session=\(ticket)%20", "__Host-session=\(ticket)\u{A0}",
                "__Host-session=\(ticket)x",
                "\u{A0}__Host-session=\(ticket)", "\u{2000}__Host-session=\(ticket)",
                "a=b\u{37E} __Host-session=\(ticket)",
                "a=1, __Host-session=\(ticket)", "__Host-session:\(ticket)", "__Host-session \(ticket)",
                "=__Host-session=\(ticket)",
                "__Host-session\u{301}=\(ticket)", "__Host-session=\(ticket)\u{301}",
            ]
            for line in strangers {
                let answer = try await peek(line)
                #expect(
                    status(ofRaw: answer) == 200 && !answer.contains(value),
                    "\(line.debugDescription.prefix(40))"
                )
            }
            for bytes in [[0xFF], [0x80], [0xC2]] as [[UInt8]] {
                let answer = try await peek([Array("__Host-session=\(ticket)".utf8) + bytes])
                #expect(!answer.contains(value), "\(bytes) in our own value")
                #expect(status(ofRaw: answer) == 200)
            }
            for control in [0x00, 0x01, 0x0B, 0x0D, 0x7F] as [UInt8] {
                let answer = try await peek([Array("__Host-session=\(ticket)".utf8) + [control]])
                #expect(!answer.contains(value), "control byte \(control)")
                #expect([200, 400].contains(status(ofRaw: answer)))
            }
        }

        @Test func `with two different tickets is ambiguous, whichever comes first`() async throws {
            let (one, valueOne) = try await visitor()
            let (two, valueTwo) = try await visitor()
            for pair in [
                (one, two), (two, one), (one, "evil"), ("evil", one), (one, madeUpTicket()),
                (madeUpTicket(), one), (one, ""),
            ] {
                for fields in [
                    ["__Host-session=\(pair.0); __Host-session=\(pair.1)"],
                    ["__Host-session=\(pair.0)", "a=b; __Host-session=\(pair.1)"],
                ] {
                    let answer = try await peek(fields.map { Array($0.utf8) })
                    #expect(status(ofRaw: answer) == 200)
                    #expect(!answer.contains(valueOne) && !answer.contains(valueTwo))
                    let lines = answer.split(whereSeparator: \.isNewline).filter {
                        $0.lowercased().hasPrefix("set-cookie: ")
                    }
                    #expect(
                        lines.count == 2 && lines.allSatisfy { isDeletion(String($0.dropFirst(12))) },
                        "the next request is clean"
                    )
                }
            }
            let thrown =
                "GET /devices HTTP/1.1\r\nHost: x\r\nConnection: close\r\nCookie: __Host-session=\(one); __Host-session=x\r\n\r\n"
            let answer = try await sendRaw(Array(thrown.utf8), port: fleet.servers[0].port)
            #expect(status(ofRaw: answer) == 401 && answer.contains("Max-Age=0"), "a refusal ends it, too")
            let tickets = (0..<120).map { _ in madeUpTicket() }
            let line = ([one] + tickets).map { "__Host-session=\($0)" }.joined(separator: "; ")
            let commands = try await fleet.redis.commands { _ = try await peek(line) }
            let ids = ([one] + tickets).compactMap { $0.split(separator: ".").first }
            #expect(
                commands.filter { command in ids.contains { command.contains($0) } }.count <= 6,
                "no look-up for each of them"
            )
        }

        @Test func `that is very large or has very many pairs is bounded work and harms nobody`() async throws
        {
            let (ticket, value) = try await visitor()
            let own = "__Host-session=\(ticket)"
            #expect(
                try await peek((0..<170).map { "a\($0)=b" }.joined(separator: "; ") + "; \(own)").contains(
                    value
                ),
                "many, yet allowed"
            )
            #expect(
                try await peek("a=\(String(repeating: "x", count: 12_000)); \(own)").contains(value),
                "large, yet allowed"
            )
            for bad in [
                String(repeating: "a=a;", count: 300) + own, own + String(repeating: ";a=a", count: 300),
                "a=\(String(repeating: "x", count: 17_000)); \(own)",
                String(repeating: ";", count: 70_000) + own,
                String(repeating: "a=a;", count: 17_000) + own, String(repeating: "\(own); ", count: 700),
                String(repeating: "=", count: 70_000),
                String(repeating: "a=a;", count: 60_000) + own,
            ] {
                let answer = try await peek(bad)
                #expect([200, 400, 431, nil].contains(status(ofRaw: answer)), "\(answer.prefix(40))")
                #expect(
                    !answer.contains(value),
                    "over the limit the session is left out, not guessed: \(bad.utf8.count) bytes"
                )
            }
            for server in fleet.servers {
                #expect(try await peek([Array(own.utf8)], on: server).contains(value))
            }
        }

        @Test(arguments: Store.allCases) func `called NAME.1 is another application's`(store: Store)
            async throws
        {
            let server = fleet.servers(store)[0]
            for (path, query) in [
                ("/set", ["k": "x", "v": "1"]), ("/login", ["user": fleet.user()]), ("/logout", [:]),
            ]
                as [(String, KeyValuePairs<String, String>)]
            {
                let reply = try await Browser().send(
                    "POST",
                    path,
                    query,
                    on: server,
                    cookies: ["__Host-session.1=theirs; __Host-session.2=\(madeUpTicket()); session.1=x"]
                )
                #expect(reply.status == 200)
                #expect(reply.setCookies.allSatisfy { !$0.contains("session.") }, "\(path)")
            }
        }

        @Test func `is never echoed`() async throws {
            let mark = "echo-\(randomTicketText(bytes: 12))"
            for field in [
                "__Host-session=\(mark)", "\(mark)=1", "__Host-session=\(mark); __Host-session=x", mark,
            ] {
                for path in ["/peek?k=k", "/whoami", "/none", "/nowhere", "/devices"] {
                    let request =
                        "GET \(path) HTTP/1.1\r\nHost: x\r\nConnection: close\r\nCookie: \(field)\r\n\r\n"
                    #expect(
                        !(try await sendRaw(Array(request.utf8), port: fleet.servers[0].port)).contains(mark)
                    )
                }
            }
            #expect(!fleet.servers[0].output.contains(mark), "nor logged")
        }
    }
}
