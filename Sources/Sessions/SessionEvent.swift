// SPDX-License-Identifier: Apache-2.0

import Logging
import Synchronization

/// Something about a session that operators or security people want to know (R76).
///
/// Holds no secret and no stored value.
public struct SessionEvent: Sendable, CustomStringConvertible {
    /// What happened.
    ///
    /// New kinds may come with any release.
    public struct Kind: Hashable, Sendable, CustomStringConvertible {
        /// The kind as it appears in logs.
        public let description: String
        let level: Logger.Level

        private init(_ description: String, _ level: Logger.Level) {
            self.description = description
            self.level = level
        }

        /// A record was made.
        public static let created = Kind("created", .debug)
        /// A user signed in; the secret changed.
        public static let signedIn = Kind("signed-in", .info)
        /// The secret was renewed with equal rights.
        public static let renewed = Kind("renewed", .debug)
        /// The secret was replaced at once, because the rights changed.
        public static let elevated = Kind("elevated", .info)
        /// The user signed out.
        public static let signedOut = Kind("signed-out", .info)
        /// One or all sessions of a user were ended by a revocation.
        public static let revoked = Kind("revoked", .info)
        /// A cookie that does not have the form of a credential.
        public static let malformed = Kind("malformed", .notice)
        /// Several different cookies with the session's name.
        public static let ambiguous = Kind("ambiguous", .notice)
        /// A cookie for a record that does not exist: it expired, or never existed.
        ///
        /// These cannot be told apart, because nothing is kept of a session that expired; a guess at a living session
        /// is `wrongSecret`. Above 100 in a minute the log says how many, at notice.
        public static let unknown = Kind("unknown", .debug)
        /// A sealed cookie that our keys do not open: changed, forged, or from another cookie or
        /// application.
        public static let forged = Kind("forged", .notice)
        /// A sealed cookie under a key that is not in the ring, perhaps no longer.
        public static let unknownKey = Kind("unknown-key", .notice)
        /// A cookie for a session that was ended.
        public static let ended = Kind("ended", .debug)
        /// A secret that was replaced: a late request, or a browser that never got the newer one.
        public static let superseded = Kind("superseded", .notice)
        /// A secret that the session never had: a guess, or the session came back from a backup.
        public static let wrongSecret = Kind("wrong-secret", .notice)
        /// A replaced secret was presented after its grace: the cookie may have been copied (reuse detection).
        public static let replayed = Kind("replayed", .warning)
        /// A record that cannot be used; it is left as it is and its holder is anonymous.
        public static let unreadable = Kind("unreadable", .error)
        /// A stored attribute does not decode as the type asked for; it reads as absent.
        public static let undecodable = Kind("undecodable", .error)
        /// The session ended while the request ran; what the request changed was dropped.
        public static let dropped = Kind("dropped", .notice)
        /// A change was refused: too large, an impossible value, or a conflict that retries did not solve.
        public static let refused = Kind("refused", .notice)
        /// The idle deadline could not be moved; the request went on.
        public static let touchFailed = Kind("touch-failed", .warning)
        /// Requests arrive in a way that the cookie does not fit; said once for each way.
        public static let misconfigured = Kind("misconfigured", .warning)
        /// What a user did is stored, but fewer copies have acknowledged it than the store was told to wait for.
        ///
        /// A sign-in, a sign-out, a revocation or a new secret: a failover may undo it. `acknowledgement` has the numbers.
        public static let notReplicated = Kind("not-replicated", .warning)
        /// The store could not be asked.
        public static let storeFailed = Kind("store-failed", .error)
    }

    /// What happened.
    public let kind: Kind
    /// The session it happened to.
    public let id: SessionID?
    /// More about it, written by this package: no secret, no stored value, no client input but names of attributes.
    public let detail: String?
    /// The user it happened to, for events that this package raises on the user's behalf: a sign-in, a sign-out, a
    /// renewal, a revocation, dropped changes.
    ///
    /// Personal data: for an audit trail of the application. Neither `description` nor the log shows it.
    public let principal: String?
    /// The address of the client, as the adapter gave it, cut to 64 printable ASCII characters; nil when it gave none.
    public internal(set) var client: String?
    /// How many copies have what was stored; only in `notReplicated`.
    public private(set) var acknowledgement: SessionAcknowledgement?

    init(_ kind: Kind, _ id: SessionID? = nil, detail: String? = nil, principal: String? = nil) {
        self.kind = kind
        self.id = id
        self.detail = detail
        self.principal = principal
    }

    /// The event of a write that has too few copies.
    init(_ acknowledgement: SessionAcknowledgement, _ id: SessionID?, principal: String?) {
        self.init(.notReplicated, id, detail: "\(acknowledgement)", principal: principal)
        self.acknowledgement = acknowledgement
    }

    /// The event of a credential that stands for no session.
    init(absence: SessionAbsence) {
        switch absence {
        case .malformed: self.init(.malformed)
        case .unknown: self.init(.unknown)
        case .ended: self.init(.ended)
        case .superseded(let id, let secret): self.init(secret.isReplay ? .replayed : .superseded, id)
        case .wrongSecret(let id): self.init(.wrongSecret, id)
        case .forged: self.init(.forged)
        case .unknownKey: self.init(.unknownKey)
        case .unreadable: self.init(.unreadable)
        }
    }

    /// The text for logs and messages; holds no secret and no user name.
    public var description: String {
        "session \(kind)" + (id.map { " \($0)" } ?? "") + (detail.map { ": \($0)" } ?? "")
    }

    /// What the log line carries for searches: `event`, the kind, and `session`, the ID.
    var metadata: Logger.Metadata {
        var metadata: Logger.Metadata = ["event": "\(kind)"]
        if let id { metadata["session"] = "\(id)" }
        if let client { metadata["client"] = "\(client)" }
        return metadata
    }
}

/// A dump of the event shows what its description shows.
extension SessionEvent: CustomReflectable {
    /// Shows all but the user's name.
    public var customMirror: Mirror {
        let (id, detail, client) = (id as Any, detail as Any, client as Any)
        return Mirror(self, children: ["kind": kind, "id": id, "detail": detail, "client": client])
    }
}
