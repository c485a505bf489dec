// SPDX-License-Identifier: Apache-2.0

import Hiredis
import Sessions

extension SessionCommitResult {
    /// Reads what `create.lua` and `commit.lua` return.
    ///
    /// - Parameters:
    ///   - reply: the reply.
    ///   - presented: what was presented, or the new session's token.
    ///   - fresh: the token that replaces it, if the script says that the secret was replaced.
    ///   - crypto: opens the record that a conflict brings.
    /// - Throws: `.storeUnavailable` for an error of Redis, `.invalidValue` for an increment that failed.
    init(
        _ reply: RedisReply,
        presented: PresentedToken,
        fresh: SessionToken,
        _ crypto: RecordCrypto
    ) throws(SessionError) {
        if let error = reply.error {
            guard error.prefix == "WRONGTYPE" else { throw .unavailable(error) }
            self = .gone(.unreadable)
            return
        }
        switch reply.count > 0 ? reply[0].string : nil {
        case "ok" where reply.count == 4:
            self = .committed(
                id: presented.token.id,
                version: reply[1].integer ?? 0,
                credential: reply[2].integer == 1 ? fresh.credential : nil,
                remaining: .milliseconds(reply[3].integer ?? 0)
            )
        case "conflict" where reply.count == 3:
            switch RedisRecord.read(reply[1], ttl: reply[2].integer ?? -2) {
            case .absent(let absence): self = .gone(absence)
            case .live(let stored):
                let load =
                    presented.user.map { stored.open(presented.token.id, of: $0, crypto) }
                    ?? stored.open(presented.token, crypto)
                switch load {
                case .found(let record): self = .conflict(record)
                case .absent(let absence): self = .gone(absence)
                }
            }
        case "gone" where reply.count == 2:
            self = .gone(SessionAbsence(reason: reply[1].string, presented.token.id))
        case "invalid":
            throw SessionError(.invalidValue, "Only integers can be incremented, within 64 bits.")
        default:
            throw SessionError(
                .storeUnavailable,
                "Redis answered in a form that the session scripts do not use."
            )
        }
    }
}

extension SessionAbsence {
    /// The reason that a script gives for a session that was loaded before.
    init(reason: String?, _ id: SessionID) {
        switch reason {
        case "signed-out": self = .ended(.signOut)
        case "revoked": self = .ended(.revocation)
        case "superseded": self = .superseded(id, ReplacedSecret(isLate: true, isReplay: false))
        case "unreadable": self = .unreadable
        default: self = .unknown
        }
    }
}
