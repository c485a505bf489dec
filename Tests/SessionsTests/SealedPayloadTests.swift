// SPDX-License-Identifier: Apache-2.0

import Sessions
import Testing

@Suite struct `Sealed session` {
    private let start = SessionInstant(milliseconds: 1_800_000_000_000)
    private let policy = SessionPolicy(idleTimeout: .seconds(600), lifetime: .seconds(3600))

    private func session(_ attributes: [String: [UInt8]] = ["a": [1, 2]], principal: String? = "ann")
        -> SealedPayload
    {
        SealedPayload(SessionDraft(attributes: attributes, principal: principal, policy: policy), now: start)
    }

    @Test func `what is encoded is decoded, whatever it holds`() throws {
        for principal in [nil, "", "ann \u{1F41D}"] {
            for attributes in [
                [:], ["a": []], ["b": [0, 255], "a\u{301}": [UInt8](repeating: 7, count: 300)],
            ] as [[String: [UInt8]]] {
                var session = session(attributes, principal: principal)
                #expect(SealedPayload(decoding: session.encoded) == session)
                for change in [
                    SessionChange.Rotation.none, .renew, .elevate, .signIn(principal: "bob", keeping: ["b"]),
                ] {
                    for persistence in [nil, .browserSession, .persistent] as [SessionCookie.Persistence?] {
                        try session.apply(
                            SessionChange(
                                operations: ["x": .increment(3)],
                                rotation: change,
                                policy: policy,
                                persistence: persistence
                            ),
                            at: start + .seconds(5)
                        )
                        #expect(SealedPayload(decoding: session.encoded) == session)
                        session.isListed = session.authenticated != nil
                        #expect(SealedPayload(decoding: session.encoded) == session)
                    }
                }
            }
        }
    }

    @Test func `every other text is refused`() {
        let bytes = session().encoded
        for count in bytes.indices {
            #expect(SealedPayload(decoding: Array(bytes[..<count])) == nil, "cut at \(count)")
        }
        #expect(SealedPayload(decoding: bytes + [0]) == nil)
        for position in bytes.indices {
            for value in [UInt8(0), 1, 2, 0x7F, 0x80, 0xFF] where value != bytes[position] {
                var changed = bytes
                changed[position] = value
                // Some are other sessions; what decodes must be the one encoding of what it says.
                if let other = SealedPayload(decoding: changed) { #expect(other.encoded == changed) }
            }
        }
    }

    @Test func `the bounds are exclusive and no clock moves them`() {
        let session = session()
        let end = start + .seconds(600)
        #expect(session.absence(at: end + .milliseconds(-1)) == nil && session.absence(at: end) == .unknown)
        var used = session
        for _ in 0..<6 { used.touch(at: used.times.lastUsed + .seconds(599)) }
        #expect(used.absence(at: start + .milliseconds(3_599_999)) == nil)
        used.touch(at: start + .seconds(3599))
        #expect(used.absence(at: start + .seconds(3600)) == .unknown)
    }

    @Test func `a clock that is up to a minute behind reads it, one that is further behind does not`() {
        let session = session()
        #expect(session.absence(at: start + .seconds(-60)) == nil)
        #expect(session.reading(at: start + .seconds(-60)) == start)
        #expect(session.absence(at: start + .milliseconds(-60_001)) == .unreadable)
        var touched = session
        touched.touch(at: start + .seconds(-30))
        #expect(touched.times.lastUsed == start)
    }

    @Test func `a sign-in restarts the lifetime, a renewal does not`() throws {
        var session = session(["a": [1], "b": [2]])
        let id = session.id
        try session.apply(
            SessionChange(operations: [:], rotation: .renew, policy: policy),
            at: start + .seconds(500)
        )
        #expect(
            session.times.deadline == start + .seconds(3600) && session.times.rotated == start + .seconds(500)
                && session.version == 2
        )
        try session.apply(
            SessionChange(
                operations: ["c": .set([3])],
                rotation: .signIn(principal: "bob", keeping: ["b"]),
                policy: policy
            ),
            at: start + .seconds(900)
        )
        #expect(
            session.times.deadline == start + .seconds(4500) && session.principal == "bob"
                && session.id == id
        )
        #expect(session.attributes == ["b": [2], "c": [3]])
    }

    @Test func `an impossible change leaves it as it was`() {
        var session = session(["n": Array("\"x\"".utf8)])
        let before = session
        let change = SessionChange(
            operations: ["n": .increment(1), "m": .set([1])],
            rotation: .renew,
            policy: policy
        )
        #expect(throws: SessionError(.invalidValue, "")) { try session.apply(change, at: start) }
        #expect(session == before)
    }
}
