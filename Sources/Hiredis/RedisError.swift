// SPDX-License-Identifier: Apache-2.0

/// Why a command failed and what became of it.
///
/// Equality is on `code`. The description holds no argument, no key, no password and no text of the server
/// beyond its error word, so it may be logged.
public struct RedisError: Error, Sendable {
    /// What kind of failure it was; more may be added.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Base: String {
            case connection, timeout, overloaded, cancelled, server, `protocol`, configuration,
                authentication, tls, closed
        }
        private let base: Base

        /// Redis cannot be reached, or the connection was lost.
        public static let connection = Self(base: .connection)
        /// No answer in time.
        public static let timeout = Self(base: .timeout)
        /// A bound on commands, bytes or waiting callers was reached; nothing was queued.
        public static let overloaded = Self(base: .overloaded)
        /// The caller's task was cancelled.
        public static let cancelled = Self(base: .cancelled)
        /// Redis answered with an error; see `prefix`.
        public static let server = Self(base: .server)
        /// The peer sent what is no valid reply, or more than the limits allow.
        public static let `protocol` = Self(base: .protocol)
        /// The configuration or the use of the client is wrong; repeating will not help.
        public static let configuration = Self(base: .configuration)
        /// Redis refused the user name or password, or wants one.
        public static let authentication = Self(base: .authentication)
        /// The certificate or host name of the server could not be verified, or TLS failed otherwise.
        public static let tls = Self(base: .tls)
        /// The client was shut down.
        public static let closed = Self(base: .closed)

        /// The name of the code.
        public var description: String { base.rawValue }
    }

    /// What became of the command.
    public enum Outcome: String, Sendable {
        /// It never left this process; sending it again is safe.
        case notSent
        /// The server answered that it did not do it.
        case rejected
        /// It may or may not have been executed.
        case unknown
    }

    /// What kind of failure it was.
    public let code: Code
    /// What became of the command.
    public internal(set) var outcome: Outcome
    /// The first word of a server error, such as `WRONGTYPE`, `OOM`, `READONLY`, `LOADING` or `NOPERM`.
    public let prefix: String?
    /// All that the server said.
    ///
    /// It may quote keys or arguments: do not log it unseen.
    public let serverMessage: String?
    let reason: String
    /// A new attempt at once may succeed: the connection was lost under a command, but reconnecting has not
    /// failed yet.
    var isTransient = false

    init(_ code: Code, _ outcome: Outcome, _ reason: String) {
        self.code = code
        self.outcome = outcome
        self.reason = reason
        prefix = nil
        serverMessage = nil
    }

    init(serverMessage: String) {
        let word = serverMessage.prefix { $0 != " " }
        // Only what looks like an error word may be shown; a script can answer with any text it likes.
        let isWord =
            !word.isEmpty && word.utf8.count <= 24
            && word.utf8.allSatisfy { (65...90).contains($0) || $0 == 95 }
        prefix = isWord ? String(word) : nil
        self.serverMessage = serverMessage
        let refusesLogin = ["WRONGPASS", "NOAUTH"].contains(prefix)
        code = refusesLogin ? .authentication : .server
        outcome = .rejected
        reason = "Redis answered \(prefix ?? "an error")"
    }
}

extension RedisError: Equatable {
    /// Equal codes are equal errors.
    public static func == (left: RedisError, right: RedisError) -> Bool { left.code == right.code }
}

extension RedisError: CustomStringConvertible {
    /// Code, outcome and a sentence without any secret.
    public var description: String { "\(reason) (\(code), command \(outcome.words))" }
}

extension RedisError: CustomReflectable {
    /// Leaves the server's text out, so that `dump` does not show it.
    public var customMirror: Mirror {
        Mirror(self, children: ["code": code, "outcome": outcome, "reason": reason])
    }
}

extension RedisError.Outcome {
    fileprivate var words: String {
        switch self {
        case .notSent: "not sent"
        case .rejected: "rejected"
        case .unknown: "outcome unknown"
        }
    }
}
