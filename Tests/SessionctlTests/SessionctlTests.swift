// SPDX-License-Identifier: Apache-2.0

import Foundation
import RedisSessions
import TestSupport
import Testing

/// One server for the suite; each test has an application of its own.
private let shared = Task { try await RedisServer() }

/// The operators' tool, run as a program against a real server with sessions of the real store.
@Suite(.timeLimit(.minutes(10))) struct SessionctlTests {
    private let server: RedisServer
    private let site: Site

    init() async throws {
        server = try await shared.value
        site = try Site(server.url, application: "t\(UUID().uuidString.prefix(8))")
    }

    // MARK: list

    @Test func `list shows the sessions of a user, in columns and as JSON`() async throws {
        let first = try await site.session(["device": "\"Firefox on Linux\""], user: "ann")
        let second = try await site.session(user: "ann")
        try await site.session(user: "bob")
        let table = try await site.run("list", "--user", "ann", "--attribute", "device")
        #expect(table.exitCode == 0)
        #expect(table.errors == "2 sessions\n")
        #expect(table.lines[0].hasPrefix("ID                      CREATED"))
        #expect(table.lines.count == 4)
        #expect(table.output.contains("\"Firefox on Linux\""))
        // Aligned: each column begins at the same place in every line.
        let column = try #require(table.lines[0].firstRange(of: "LAST USED"))
        let offset = table.lines[0].distance(from: table.lines[0].startIndex, to: column.lowerBound)
        for line in table.lines[1...2] {
            #expect(Array(line)[offset - 1] == " " && Array(line)[offset] == "2")
        }
        let json = try await site.run("list", "--user", "ann", "--json", "--attribute", "device").json
        #expect(Set(json["sessions"].array.map { $0["id"].string }) == ["\(first)", "\(second)"])
        #expect(json["user"].string == "ann")
        let device = json["sessions"].array.first { $0["id"].string == "\(first)" }?["attributes"].array[0]
        #expect(device?["value"].string == "\"Firefox on Linux\"")
    }

    @Test func `a user's name may have any characters, in either spelling of an accent`() async throws {
        for name in ["José 🙂 '\"$(x)", "-dash", "a\nb"] {
            let id = try await site.session(user: name)
            let listed = try await site.run("list", "--user=\(name)", "--json").json
            #expect(listed["sessions"].array.map { $0["id"].string } == ["\(id)"], "\(name)")
        }
        try await site.session(user: "caf\u{E9}")
        let other = try await site.run("list", "--user", "cafe\u{301}", "--json").json
        #expect(other["sessions"].array.count == 1)
    }

    @Test func `an ID that begins with a hyphen is no option`() async throws {
        var ids: [SessionID] = []
        while ids.count < 2 {
            let id = SessionID()
            guard "\(id)".hasPrefix("-") else { continue }
            let draft = SessionDraft(id: id, attributes: [:], principal: "ann", policy: SessionPolicy())
            guard case .committed = try await site.store.create(draft) else {
                return #expect(Bool(false), "not created")
            }
            ids.append(id)
        }
        for arguments in [["show", "\(ids[0])", "--json"], ["show", "--json", "--", "\(ids[0])"]] {
            let shown = try await Sessionctl(
                arguments,
                environment: ["SESSIONS_REDIS_URL": site.url, "SESSIONS_APPLICATION": site.application]
            )
            #expect(shown.exitCode == 0 && shown.output.contains("\(ids[0])"), "\(shown.errors)")
        }
        let others = try await site.run("revoke-user", "ann", "--except", "\(ids[0])", "--json")
        #expect(try others.json["ended"] == .number(1), "\(others.errors)")
        let revoked = try await site.run("revoke", "\(ids[1])", "\(ids[0])", "--json")
        #expect(try revoked.json["ended"].array == [.string("\(ids[0])")], "\(revoked.errors)")
    }

    @Test func `an empty store is no error`() async throws {
        let list = try await site.run("list", "--user", "ann")
        #expect(
            list.exitCode == 0 && list.output == ""
                && list.errors.hasPrefix("0 sessions in \(site.application)")
        )
        let json = try await site.run("list", "--user", "ann", "--json")
        #expect(try json.json["sessions"].array.isEmpty)
        let own = try await RedisServer()
        let empty = try Site(own.url)
        let stats = try await empty.run("stats", "--json")
        #expect(stats.exitCode == 0)
        #expect(try stats.json["sessions"] == .number(0))
        let all = try await empty.run("revoke-all", "--yes")
        #expect(all.exitCode == 0 && all.output == "0 sessions ended\n")
    }

    @Test func `the peppers of the application are needed to find its users`() async throws {
        let bytes = (7..<39).map { UInt8($0 * 5 & 0xFF) }
        let peppered = try Site(
            server.url,
            application: site.application,
            peppers: [SessionPepper(bytes)]
        )
        try await peppered.session(user: "ann")
        #expect(try await peppered.run("list", "--user", "ann").errors.hasPrefix("0 sessions in "))
        let text = Data(bytes).base64EncodedString()
        for pepper in [
            text, text.replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: ""),
        ] {
            let found = try await peppered.run(
                "list",
                "--user",
                "ann",
                environment: ["SESSIONS_PEPPERS": "\(pepper),none"]
            )
            #expect(found.errors == "1 session\n")
        }
    }

    // MARK: show

    @Test func `show tells times and attributes, and no secret, hash or name`() async throws {
        let record = try await site.record(["cart": #"{"lamp":2}"#, "views": "12"], user: "ann")
        let text = try await site.run("show", "\(record.id)", "--user", "ann")
        #expect(text.exitCode == 0)
        #expect(text.output.contains(#"cart       10     {"lamp":2}"#))
        #expect(text.lines.contains { $0.hasPrefix("user") && $0.hasSuffix("  ann") })
        let other = try await site.run("show", "\(record.id)", "--user", "bob", "--json")
        #expect(try other.json["isUser"] == .bool(false))
        let session = try other.json["session"]
        #expect(session["signedIn"] == .bool(true))
        #expect(session["created"].string == "\(record.times.created)")
        #expect(session["deadline"].string == "\(record.times.deadline)")
        let cart = session["attributes"].array.first { $0["name"].string == "cart" }
        #expect(cart?["value"].string == #"{"lamp":2}"# && cart?["bytes"] == .number(10))
        // Nothing that is stored beside times and attributes.
        let key = "\(site.application):s:{\(record.id)}"
        for field in ["@digest", "@family", "@user", "@principal"] {
            let stored = try #require(
                try await site.client.send(RedisCommand("HGET", key, field)).bytes
            )
            for run in [text, other] {
                for form in [
                    Data(stored).base64EncodedString(), stored.map { String($0, radix: 16) }.joined(),
                    String(decoding: stored, as: UTF8.self),
                ] { #expect(!run.output.contains(form), "\(field)") }
            }
        }
    }

    @Test func `control characters never reach the terminal`() async throws {
        let hostile = "\u{1B}]0;owned\u{7}\u{9B}31m\u{202E}\r\n\u{7F}\u{2066}x"
        let id = try await site.session(["note": hostile, "device": hostile], user: "ann\u{1B}[2J")
        let runs = [
            try await site.run("show", "\(id)"), try await site.run("show", "\(id)", "--json"),
            try await site.run("list", "--user", "ann\u{1B}[2J", "--attribute", "device"),
            try await site.run("list", "--user", "ann\u{1B}[2J", "--attribute", "device", "--json"),
            try await site.run("show", "\(id)", "--user", "ann\u{1B}[2J"),
        ]
        for run in runs {
            #expect(run.exitCode == 0)
            let raw = (run.output + run.errors).unicodeScalars.filter {
                $0 != "\n" && [.control, .format].contains($0.properties.generalCategory)
            }
            #expect(raw.isEmpty, "\(raw.map(\.value))")
        }
        #expect(runs[0].output.contains("\\u{1B}]0;owned\\u{7}\\u{9B}31m\\u{202E}\\u{D}\\u{A}"))
        // The JSON says what is stored.
        let note = try runs[1].json["session"]["attributes"].array.first { $0["name"].string == "note" }
        #expect(note?["value"].string == hostile)
    }

    @Test func `what is not a live session is told apart`() async throws {
        let unknown = try await site.run("show", "\(SessionID())", "--json")
        #expect(unknown.exitCode == 1)
        #expect(try unknown.json["state"].string == "unknown")
        let revoked = try await site.session(user: "ann")
        #expect(try await site.store.revoke(revoked, of: "ann"))
        #expect(try await site.run("show", "\(revoked)", "--json").json["state"].string == "revoked")
        let left = try await site.record(user: "ann")
        _ = try await site.store.end(left)
        let gone = try await site.run("show", "\(left.id)")
        #expect(gone.exitCode == 1 && gone.errors.contains("sign-out"))
        // A damaged record, and another type under the key of a session.
        let damaged = try await site.session(user: "ann")
        try await server.admin("HDEL", "\(site.application):s:{\(damaged)}", "@deadline")
        let foreign = SessionID()
        try await server.admin("SET", "\(site.application):s:{\(foreign)}", "x")
        for id in [damaged, foreign] {
            let run = try await site.run("show", "\(id)", "--json")
            #expect(run.exitCode == 1)
            #expect(try run.json["state"].string == "unreadable")
        }
        let list = try await site.run("list", "--user", "ann")
        #expect(list.exitCode == 0 && list.errors.contains("1 in the user's list cannot be read"))
    }

    // MARK: revoke

    @Test func `revoke ends what it names, and says what was not alive`() async throws {
        let (one, two) = (try await site.session(user: "ann"), try await site.session(user: "ann"))
        let anonymous = try await site.session()
        let stranger = SessionID()
        let run = try await site.run("revoke", "\(one)", "\(stranger)", "\(anonymous)")
        #expect(run.exitCode == 0 && run.output == "2 of 3 ended\n")
        #expect(run.errors == "\(stranger) was not alive\n")
        #expect(try await !site.isAlive(one, of: "ann"))
        #expect(try await site.isAlive(two, of: "ann"))
        let again = try await site.run("revoke", "\(one)", "--json")
        #expect(again.exitCode == 1)
        #expect(try again.json["notAlive"].array == [.string("\(one)")])
        #expect(try again.json["ended"].array.isEmpty)
    }

    @Test func `revoke-user spares one session and other users`() async throws {
        let kept = try await site.session(user: "ann")
        for _ in 0..<3 { try await site.session(user: "ann") }
        let bob = try await site.session(user: "bob")
        let run = try await site.run("revoke-user", "ann", "--except", "\(kept)")
        #expect(run.exitCode == 0 && run.output == "3 sessions ended\n")
        #expect(try await site.isAlive(kept, of: "ann"))
        #expect(try await site.run("revoke-user", "ann", "--json").json["ended"] == .number(1))
        #expect(try await site.isAlive(bob, of: "bob"))
    }

    @Test func `revoke-all needs a yes, and ends this application's sessions only`() async throws {
        let other = try Site(server.url, application: "\(site.application)x")
        let spared = try await other.session(user: "ann")
        var ids: [SessionID] = []
        for number in 0..<600 { ids.append(try await site.session(user: "user\(number % 50)")) }
        try await site.session()
        try await server.admin("SET", "\(site.application):s:{\(SessionID())}", "x")
        try await server.admin("SET", "\(site.application):s:{nonsense}", "x")
        try await server.admin("SET", "\(site.application):u:{nonsense}", "x")
        let checked = ContinuousClock.now
        let refused = try await site.run("revoke-all")
        #expect(refused.exitCode == 64 && refused.errors.contains("--yes"))
        #expect(try await site.isAlive(ids[0], of: "user0"))
        let run = try await site.run("revoke-all", "--yes")
        #expect(run.exitCode == 0 && run.output == "601 sessions ended\n")
        for (number, id) in ids.enumerated() {
            #expect(try await !site.isAlive(id, of: "user\(number % 50)"))
        }
        #expect(try await other.isAlive(spared, of: "ann"))
        // A sign-in whose password was checked before is refused.
        let late = SessionDraft(
            attributes: [:],
            principal: "user1",
            policy: SessionPolicy(),
            notRevokedSince: checked
        )
        guard case .gone = try await site.store.create(late) else {
            Issue.record("a sign-in from before the revocation was accepted")
            return
        }
        #expect(try await site.run("revoke-all", "--yes", "--json").json["ended"] == .number(0))
    }

    // MARK: schema, usage, completions

    @Test func `schema explains every field that a record has`() async throws {
        let id = try await site.session(["cart": "1"], user: "ann")
        let stored = try await server.admin("HKEYS", "\(site.application):s:{\(id)}").split(separator: "\n")
        let text = try await Sessionctl(["schema", "--application", "shop"])
        let json = try await Sessionctl(["schema", "--json"]).json
        let fields = Set(json["fields"].array.compactMap { $0["field"].string })
        for field in stored where !field.hasPrefix("a:") {
            #expect(fields.contains(String(field)))
            #expect(text.lines.contains { $0.hasPrefix("\(field) ") })
        }
        #expect(text.output.contains("shop:u:{USER}") && text.output.contains("shop:log:shop"))
        #expect(json["keys"].array.contains { $0["key"].string == "PREFIX:s:{ID}" })
    }

    @Test func `completions and help come with the program`() async throws {
        for shell in ["bash", "zsh", "fish"] {
            let script = try await Sessionctl(["--generate-completion-script", shell])
            #expect(script.exitCode == 0 && script.output.contains("revoke-user"))
        }
        let help = try await Sessionctl(["--help"])
        #expect(help.output.contains("SESSIONS_REDIS_PASSWORD") && help.output.contains("Exit codes"))
    }

    @Test func `a wrong command line is told without repeating what could be a secret`() async throws {
        let secret = "pw-7f3a9c"
        let cookie = "\(SessionID()).\(secret)"
        for arguments in [
            ["show", cookie], ["revoke", cookie], ["revoke-user", "ann", "--except", cookie],
            ["list", "--user", "ann", "--redis", "redis://u:\(secret)@127.0.0.1"],
            ["list", "--user", "ann", "--redis", "http://u:\(secret)@127.0.0.1"],
            ["list", "--user", "ann", "--password-file", "/nowhere"],
        ] {
            let run = try await Sessionctl(
                arguments,
                environment: ["SESSIONS_APPLICATION": "shop", "SESSIONS_REDIS_URL": server.url]
            )
            #expect(run.exitCode == 64 || run.exitCode == 2, "\(arguments[0])")
            #expect(!run.errors.isEmpty && run.output.isEmpty)
            #expect(!run.errors.contains(secret), "\(arguments)")
            if arguments.last?.hasPrefix("redis:") == true {
                #expect(run.exitCode == 64 && run.errors.contains("--password-file"))
            }
        }
    }
}
