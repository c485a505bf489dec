// SPDX-License-Identifier: Apache-2.0

import Sessions
import Testing

@testable import RedisSessions

@Suite(.limited) struct `Log entry` {
    private func codec(_ prefix: String = "a", pepper: UInt8 = 1) throws -> LogEntryCodec {
        LogEntryCodec(
            try RecordCrypto(application: "a", peppers: [SessionPepper(Array(pepper..<pepper + 32))]),
            prefix: prefix
        )
    }

    private var entries: [LogEntry] {
        var script = LogScript(seed: 4)
        for _ in 0..<200 { script.step() }
        var replica = Replica()
        replica.follow(script.entries)
        for (id, record) in replica.table.records {
            script.append(.snapshot(id, asOf: replica.applied, record))
            script.append(.transfer(candidacy: 5, id, record))
        }
        script.append(.candidacy(rank: replica.rank!))
        script.append(.transferComplete(candidacy: 5, count: 3))
        script.append(.activate(candidacy: 5, candidates: 1))
        return script.entries.map(\.entry)
    }

    @Test func `is decoded from its bytes`() throws {
        let codec = try codec()
        for entry in entries { #expect(codec.decode(codec.encode(entry)) == entry) }
    }

    @Test func `is refused when cut, changed, lengthened, or written with another prefix or pepper`() throws {
        let codec = try codec()
        let others = [try self.codec("b"), try self.codec(pepper: 2)]
        for entry in entries.suffix(40) {
            let bytes = codec.encode(entry)
            for length in 0..<bytes.count { #expect(codec.decode(Array(bytes.prefix(length))) == nil) }
            for index in bytes.indices {
                var changed = bytes
                changed[index] ^= 1 << UInt8(index % 8)
                #expect(codec.decode(changed) == nil)
            }
            #expect(codec.decode(bytes + [0]) == nil)
            for other in others { #expect(other.decode(bytes) == nil) }
        }
    }

    @Test func `has a position that grows, in at most 18 digits`() {
        let positions = [
            LogPosition.start, LogPosition(milliseconds: 1_800_000_000_000, sequence: 0),
            LogPosition(milliseconds: 1_800_000_000_000, sequence: 1),
            LogPosition(milliseconds: 1_800_000_000_001, sequence: 0),
            LogPosition(milliseconds: 3_900_000_000_000, sequence: 1 << 20),
            LogPosition(milliseconds: .max, sequence: .max),
        ]
        for (left, right) in zip(positions, positions.dropFirst()) {
            #expect(left < right && left.version <= right.version)
        }
        #expect(positions[1].version < positions[2].version && positions[2].version < positions[3].version)
        #expect(positions.allSatisfy { "\($0.version)".count <= 18 && LogPosition("\($0)") == $0 })
        for text in ["", "1", "-", "1-", "-1", "1-1-1", "a-1", "+", "1-18446744073709551616"] {
            #expect(LogPosition(text) == nil)
        }
    }
}
