// SPDX-License-Identifier: Apache-2.0

public import Hiredis

/// A client for Redis or Valkey that an application has already, for `RedisSessionStore`.
///
/// `RedisClient` needs no conformance. Conform your own client to send what the store asks for; everything that the store
/// promises then depends on these rules:
///
/// * **In order, on one connection**, nothing of others being changed: the commands of one `send` are executed in the order
///   given, each once. A write (`readOnly` false) must not be repeated after an unknown outcome, unless the server refused
///   it.
/// * **From the primary.** Nothing is read from a replica: the store could show a session that was ended.
/// * **In time.** `send` returns or throws before `commandTimeout` is over. The store tells the server so, and a write that
///   arrives later does nothing.
/// * **Whatever becomes of the caller's task.** Carry a write on when the task is cancelled, or throw: the store treats its
///   outcome as unknown then.
///
/// Commands are never blocking, change no state of the connection and are no transactions. Scripts are called by their
/// digest; where the server does not have one, the store sends its source, one round trip more.
public protocol RedisCommandSender: Sendable {
    /// How long a command may take, the wait for a connection included.
    ///
    /// Read for every write.
    var commandTimeout: Duration { get }

    /// Sends commands in one round trip.
    ///
    /// - Parameter commands: `words` are what is to be sent; in a cluster, all of them belong to the node of their `key`.
    /// - Returns: one reply for each command, in the same order. An error of the server is a reply, made by
    ///   `RedisReply.error`.
    /// - Throws: any error when there is no reply to all commands. It becomes the `underlying` one of a
    ///   `.storeUnavailable`, and its text is not shown.
    func send(_ commands: [RedisCommand]) async throws -> [RedisReply]

    /// Sends a command that nothing waits for.
    ///
    /// Returns at once. If it gets lost, a session may end as though it had been used once less.
    func submit(_ command: RedisCommand)

    /// Writes a warning for operators: about a server that evicts keys.
    func warn(_ message: String)
}
