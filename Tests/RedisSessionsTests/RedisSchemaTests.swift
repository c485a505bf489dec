// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import RedisSessions
@testable import Sessions

/// The schema's documentation, the scripts and the Swift code say the same.
@Suite struct `The schema in Redis` {
    private let sources = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../Sources/RedisSessions")

    /// The scripts of the session stores by file name, without comments; not those of the log.
    private func scripts() throws -> [String: String] {
        let folder = sources.appending(path: "Scripts")
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
        var scripts: [String: String] = [:]
        for name in names where name.hasSuffix(".lua") && !name.hasPrefix("log-") {
            let text = try String(contentsOf: folder.appending(path: name), encoding: .utf8)
            scripts[name] = text.split(separator: "\n").filter { !$0.hasPrefix("--") }
                .joined(separator: "\n")
        }
        return scripts
    }

    @Test func `commit's arguments stand in the order and under the names of the script's`() async throws {
        let script = try #require(try scripts()["commit.lua"])
        let list = try #require(script.firstMatch(of: /local ([a-z_, \n]+) = unpack\(ARGV, 1, (\d+)\)/))
        let names = list.1.split(separator: ",").map { name in
            let words = name.filter { !$0.isWhitespace }.split(separator: "_")
            return words.dropFirst().reduce(String(words[0])) { $0 + $1.capitalized }
        }
        #expect(names.count == Int(list.2) && names.count == 13)
        let record = SessionRecord(
            id: SessionID(),
            version: 7,
            principal: nil,
            attributes: [:],
            times: SessionTimes(startingAt: .now, idleTimeout: .seconds(1), lifetime: .seconds(1)),
            now: .now,
            storeContext: 0
        )
        let change = SessionChange(
            operations: ["x": .set([120])],
            needsVersion: true,
            rotation: .signIn(principal: "ann", keeping: ["k1"]),
            policy: SessionPolicy(
                idleTimeout: .milliseconds(91),
                lifetime: .milliseconds(92),
                renewalGrace: .milliseconds(93)
            ),
            maximumBytes: 94
        )
        let arguments = CommitArguments(
            change,
            to: record,
            PresentedToken(SessionToken(), hash: Array("presented".utf8), family: SecretFamily()),
            fresh: SessionToken(),
            notAfter: SessionInstant(milliseconds: 95),
            try RecordCrypto(application: "shop", peppers: [])
        )
        let stored = Array(Mirror(reflecting: arguments).children)
        #expect(stored.prefix(13).map { $0.label ?? "" } == names)
        // What is sent stands in this order too.
        var command = RedisCommand(script: RedisScript("return ARGV"))
        arguments.append(to: &command)
        let reply = try await RedisFixture().client.send(command)
        let sent = (0..<reply.count).compactMap { reply[$0].bytes }
        let expected = stored.prefix(13).map { child in
            (child.value as? [UInt8]) ?? Array("\(child.value)".utf8)
        }
        #expect(Array(sent.prefix(13)) == expected)
        #expect(sent.dropFirst(13).map { String(decoding: $0, as: UTF8.self) } == ["a:k1", "s", "a:x", "x"])
    }

    @Test func `fields of the scripts are those of the schema`() throws {
        var named: Set<String> = []
        for script in try scripts().values {
            named.formUnion(script.matches(of: /'(@[a-z-]+)'/).map { String($0.1) })
        }
        let known =
            RedisSchema.Field.allCases.map(\.rawValue) + RedisSchema.ListField.allCases.map(\.rawValue)
        #expect(named == Set(known))
        #expect(known.count == Set(known).count)
    }

    @Test func `the commands of the schema's table are those that the scripts call`() throws {
        let scripts = try scripts()
        func called(_ script: String?) -> Set<String> {
            Set((script ?? "").matches(of: /(?:redis\.p?call\(|\{)'([A-Z]+)'/).map { String($0.1) })
        }
        let text = try String(contentsOf: sources.appending(path: "RedisSchema.swift"), encoding: .utf8)
        var documented: [String: Set<String>] = [:]
        for row in text.split(separator: "\n") where row.hasPrefix("/// |") {
            for part in row.matches(of: /`([a-z-]+\.lua)`(?: on `[^`]*`)?: ([^;|]*)/) {
                let commands = part.2.matches(of: /`([A-Z]+)`/).map { String($0.1) }
                documented[String(part.1), default: []].formUnion(commands)
            }
        }
        #expect(Set(documented.keys) == Set(scripts.keys).subtracting(["live.lua"]))
        for (name, commands) in documented {
            var expected = called(scripts[name])
            if ["commit.lua", "touch.lua", "end.lua"].contains(name) {
                expected.formUnion(called(scripts["live.lua"]))
            }
            let difference = expected.symmetricDifference(commands).sorted()
            #expect(difference.isEmpty, "\(name): \(difference)")
        }
    }

    @Test func `access rules in the documentation cover what is called`() throws {
        let scripts = try scripts()
        let stores = [
            (
                "RedisSessionStore",
                ["create.lua", "commit.lua", "touch.lua", "end.lua", "index.lua", "live.lua"]
            ),
            ("RevocableSessionStore", ["device.lua", "devices-end.lua", "revocation.lua"]),
        ]
        for (file, names) in stores {
            let text = try [file, file + "+Directory"].map { name in
                try String(contentsOf: sources.appending(path: name + ".swift"), encoding: .utf8)
            }
            .joined()
            let comments = text.split(separator: "\n").filter { $0.hasPrefix("///") }
                .map { $0.dropFirst(3) }.joined()
            let start = try #require(comments.range(of: "The ACL must allow")).upperBound
            let end = try #require(comments[start...].firstIndex(of: "."))
            let allowed = Set(comments[start..<end].matches(of: /[A-Z]{3,}/).map { String($0.output) })
            var needed: Set<String> = ["EVALSHA", "EVAL", "SCRIPT", "LOAD", "PING"]
            for name in names {
                let script = try #require(scripts[name])
                needed.formUnion(script.matches(of: /redis\.p?call\('([A-Z]+)'/).map { String($0.1) })
            }
            needed.formUnion(text.matches(of: /RedisCommand\(\s*"([A-Z]+)"/).map { String($0.1) })
            #expect(needed.isSubset(of: allowed), "\(file): \(needed.subtracting(allowed).sorted())")
        }
    }
}
