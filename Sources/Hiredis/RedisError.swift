// SPDX-License-Identifier: Apache-2.0

/// The failure of a command: its kind, and whether the command was executed.
///
/// Equality is on `code`. The description contains no argument, key or password, and of the server's text
/// only its error word, so it may be logged.
public struct RedisError: Error, Sendable {
    /// A kind of failure; later versions may add more.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Base: String {
            case connection, timeout, overloaded, cancelled, server, `protocol`, configuration,
                authentication, tls, closed
        }
        private let base: Base

        /// Redis cannot be reached, or the connection was lost.
        public static let connection = Self(base: .connection)
        /// The deadline passed without a reply.
        public static let timeout = Self(base: .timeout)
        /// A limit on commands, bytes or waiting callers was reached; the command was not queued.
        public static let overloaded = Self(base: .overloaded)
        /// The caller's task was cancelled.
        public static let cancelled = Self(base: .cancelled)
        /// Redis replied with an error; see `prefix`.
        public static let server = Self(base: .server)
        /// The peer sent an invalid reply, or one that exceeds a limit.
        public static let `protocol` = Self(base: .protocol)
        /// The configuration or the use of the client is wrong; a retry fails again.
        public static let configuration = Self(base: .configuration)
        /// Redis refused the user name or password, or requires one.
        public static let authentication = Self(base: .authentication)
        /// The server's certificate or host name could not be verified, or TLS failed otherwise.
        public static let tls = Self(base: .tls)
        /// The client was shut down.
        public static let closed = Self(base: .closed)

        /// The name of the code.
        public var description: String { base.rawValue }
    }

    /// Whether a command was executed.
    public enum Outcome: String, Sendable {
        /// It was not sent; a retry is safe.
        case notSent
        /// The server refused it and did not execute it.
        case rejected
        /// It may or may not have been executed.
        case unknown
    }

    /// The kind of failure.
    public let code: Code
    /// Whether the command was executed.
    public internal(set) var outcome: Outcome
    /// The first word of a server error, such as `WRONGTYPE`, `OOM`, `READONLY`, `LOADING` or `NOPERM`.
    public let prefix: String?
    /// The whole error message of the server.
    ///
    /// It may quote keys or arguments: do not log it.
    public let serverMessage: String?
    let reason: String
    /// Whether an immediate retry may succeed: the connection was lost, and no reconnection has failed yet.
    var isTransient = false
    /// Whether it is `notPrimary`.
    var isNotPrimary = false

    init(_ code: Code, _ outcome: Outcome, _ reason: String) {
        self.code = code
        self.outcome = outcome
        self.reason = reason
        prefix = nil
        serverMessage = nil
    }

    init(serverMessage: String) {
        let word = Self.unwrapped(serverMessage).prefix { $0 != " " }
        // Shown only when it looks like an error word: a script can return an error of any text.
        let isWord =
            !word.isEmpty && word.utf8.count <= 24
            && word.utf8.allSatisfy { (65...90).contains($0) || $0 == 95 }
        prefix = isWord ? String(word) : nil
        self.serverMessage = serverMessage
        let refusesLogin = ["WRONGPASS", "NOAUTH"].contains(prefix)
        code = refusesLogin ? .authentication : .server
        outcome = .rejected
        reason =
            Self.lacksLua(serverMessage)
            ? "Redis cannot run Lua scripts: its Lua engine is missing or disabled"
            : "Redis replied with \(prefix ?? "an error")"
    }
}

extension RedisError {
    /// Returns the error of the command that failed inside a script, which servers before Redis 7 wrap:
    /// `ERR Error running script (call to f_…): @user_script:1: WRONGTYPE …`, also twice and with a minus.
    private static func unwrapped(_ message: String) -> Substring {
        guard message.hasPrefix("ERR Error running script") || message.hasPrefix("@user_script:"),
            let mark = message.ranges(of: "@user_script:").last
        else { return message[...] }
        let error = message[mark.upperBound...].drop { $0 == " " || $0 == ":" || $0 == "-" || $0.isNumber }
        return error.hasPrefix("The user executing the script can't run") ? "NOPERM" : error
    }

    /// Whether the server has answered that it has no scripts, in the words of Redis and Valkey.
    private static func lacksLua(_ message: String) -> Bool {
        let unknown = ["'", "`"].map { "ERR unknown command \($0)EVAL" }
        return unknown.contains(where: message.hasPrefix)
            || message.hasPrefix("ERR Could not find scripting engine")
            || message.hasPrefix("ERR Lua scripting disabled")
    }
}

extension RedisError: Equatable {
    /// Compares the codes.
    public static func == (left: RedisError, right: RedisError) -> Bool { left.code == right.code }
}

extension RedisError: CustomStringConvertible {
    /// Reason, code and outcome, without secrets.
    public var description: String { "\(reason) (\(code), command \(outcome.words))" }
}

extension RedisError: CustomReflectable {
    /// Omits the server's text, so that `dump` does not show it.
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
