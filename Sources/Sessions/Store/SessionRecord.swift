// SPDX-License-Identifier: Apache-2.0

/// What a store found for a credential: one consistent state of one session.
///
/// Passed back to the store by `commit`, `touch` and `end`. A wrapper around a store may change the visible values;
/// it must keep `storeContext`.
public struct SessionRecord: Sendable {
    /// The record's name; stays the same through sign-in and renewal.
    public let id: SessionID
    /// Grows by one with each commit.
    public var version: Int
    /// The signed-in user; nil for an anonymous session.
    public var principal: String?
    /// The encoded attributes by name.
    public var attributes: [String: [UInt8]]
    /// When it was created and used, and when it ends.
    public var times: SessionTimes
    /// The store's time at the moment of reading.
    public var now: SessionInstant
    /// Where the session's data is kept.
    public var residence: SessionResidence
    /// Which of the record's secrets was presented.
    public var secretStatus: SecretStatus
    /// What the store needs to find the record again, opaque to all other code.
    ///
    /// A wrapper that combines stores may put the inner store's record in here.
    public var storeContext: any Sendable

    /// Creates a record; for stores.
    public init(
        id: SessionID,
        version: Int,
        principal: String?,
        attributes: [String: [UInt8]],
        times: SessionTimes,
        now: SessionInstant,
        residence: SessionResidence = .server,
        secretStatus: SecretStatus = .current,
        storeContext: any Sendable
    ) {
        self.id = id
        self.version = version
        self.principal = principal
        self.attributes = attributes
        self.times = times
        self.now = now
        self.residence = residence
        self.secretStatus = secretStatus
        self.storeContext = storeContext
    }

    /// Returns the store's own context.
    ///
    /// - Parameter type: what the store put into its records.
    /// - Returns: the context.
    /// - Throws: `.invalidConfiguration` for a record of another store.
    package func context<Context>(_ type: Context.Type) throws(SessionError) -> Context {
        guard let context = storeContext as? Context else {
            throw SessionError(.invalidConfiguration, "The record was loaded from another store.")
        }
        return context
    }
}

/// Where the data of a session is kept, which decides what can be done without a response.
public enum SessionResidence: Hashable, Sendable {
    /// With the store. Everything works without a response, except replacing the secret.
    case server
    /// In the cookie alone. Changes and sign-outs need a response that can carry a cookie.
    case cookie
    /// In the cookie, while the store keeps a list of what was revoked. Changes need a response, sign-outs do not.
    case revocableCookie
}

/// Which of a record's secrets was presented.
public enum SecretStatus: Hashable, Sendable {
    /// The one that was issued last.
    case current
    /// The one before, inside the grace of a renewal. It has equal rights and is never sent again.
    case previous
}

/// The answer of `SessionStore.load`.
public enum SessionLoadResult: Sendable {
    /// The session is alive and the credential is valid.
    case found(SessionRecord)
    /// There is no session for this credential.
    case absent(SessionAbsence)
}

/// Why there is no session for a credential.
public enum SessionAbsence: Hashable, Sendable {
    /// The value does not have the form of a credential. Decided without I/O.
    case malformed
    /// No such record: it expired, or never existed.
    case unknown
    /// The record was ended, and is remembered as such for a while.
    case ended(SessionEndReason)
    /// The record is alive, and the secret is one that it had before.
    case superseded(SessionID, ReplacedSecret)
    /// The record is alive and never had this secret: it was guessed, or is newer than a record that came back from a
    /// backup.
    case wrongSecret(SessionID)
    /// The value was sealed for this form of cookie, but not with our key, or not for this cookie, or it was changed.
    case forged
    /// The value names a seal key that is not in the ring.
    case unknownKey
    /// The record cannot be used: wrong type, missing fields, no time to live, or a future format. Left untouched.
    case unreadable
}

extension SessionAbsence {
    /// Whether the credential will never again stand for a session, so that the cookie is to be deleted.
    ///
    /// Not for a value that other instances may understand, or that may belong to another application.
    var isFinal: Bool {
        switch self {
        case .unknown, .ended, .wrongSecret: true
        case .superseded(_, let secret): !secret.isLate
        case .malformed, .forged, .unknownKey, .unreadable: false
        }
    }

    /// Whether the request may have left the browser before a newer cookie arrived there.
    var isLate: Bool { if case .superseded(_, let secret) = self { secret.isLate } else { false } }
}

/// The answer of `SessionStore.end`.
public enum SessionEndResult: Hashable, Sendable {
    /// The session was alive and is ended.
    case ended
    /// Nothing was changed: the session was over, or the credential no longer valid.
    case gone(SessionAbsence)
}

/// How a session was ended before its time.
public enum SessionEndReason: Hashable, Sendable {
    /// Its user signed out.
    case signOut
    /// It was ended from elsewhere: another device of the user, an operator, a theft policy.
    case revocation
}
