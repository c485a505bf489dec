// SPDX-License-Identifier: Apache-2.0

/// Why a session operation could not be carried out.
///
/// Absence is not an error: a request without a session, or with one that is over, gets an anonymous session
/// instead. Two errors are equal when their codes are. The message is for people: it says how to
/// fix the problem where that is known, and holds no secret, no key, no stored value and no address with credentials
/// (R75).
public struct SessionError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What kind of failure it is.
    ///
    /// New codes may come with any release, so a `switch` needs a `default`.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        /// The code as it appears in logs and in error bodies.
        public let description: String

        private init(_ description: String) { self.description = description }

        /// An option contradicts another one or is out of range.
        ///
        /// Raised at start, never by a request.
        public static let invalidConfiguration = Code("invalid-configuration")
        /// The store did not answer, refused, or what became of the write is unknown.
        ///
        /// Nothing was sent to the browser. (R81)
        public static let storeUnavailable = Code("store-unavailable")
        /// The store is at its configured bound and takes no new session; existing ones go on.
        public static let storeFull = Code("store-full")
        /// Other requests kept committing first; the bounded number of retries is used up and nothing was stored.
        public static let conflict = Code("conflict")
        /// The session ended, or its secret was replaced, while the request ran: nothing was stored.
        public static let sessionChanged = Code("session-changed")
        /// The session would pass one of `SessionLimits`; what is stored is unchanged. (R78)
        public static let tooLarge = Code("too-large")
        /// The application's `mayCreate` refused a new session for this client: nothing was stored. (R79)
        public static let creationRefused = Code("creation-refused")
        /// A value could not be encoded, or nests deeper than 32 lists and objects, or an increment met a value that is
        /// not an integer or would overflow.
        public static let invalidValue = Code("invalid-value")
        /// The session was used after its commit, for example from a streaming body. (R72)
        public static let closed = Code("closed")
        /// There is no stored session to amend.
        public static let noSession = Code("no-session")
        /// The store cannot do this at all, for example list the sessions of a user.
        public static let unsupported = Code("unsupported")
    }

    /// The kind of failure.
    public let code: Code
    /// One sentence for the person who reads the log.
    public let message: String
    /// The error of the store's client that caused this one, for example a `RedisError`, which knows whether a write was
    /// sent.
    public let underlying: (any Error)?

    /// Creates an error.
    ///
    /// - Parameters:
    ///   - code: the kind of failure.
    ///   - message: one sentence without any secret.
    ///   - underlying: the error that caused this one.
    public init(_ code: Code, _ message: String, underlying: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.underlying = underlying
    }

    /// The text for logs and messages; holds no secret.
    public var description: String { "\(code): \(message)" }

    /// Equal codes are equal errors.
    public static func == (left: Self, right: Self) -> Bool { left.code == right.code }
    /// Equal codes hash equally.
    public func hash(into hasher: inout Hasher) { hasher.combine(code) }

    /// The error for changes that the end of the session overtook.
    static var sessionChanged: SessionError {
        SessionError(
            .sessionChanged,
            "The session ended or its cookie was replaced during this request; nothing was stored."
        )
    }
}
