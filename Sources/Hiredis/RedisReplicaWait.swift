// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// The copies that must have the writes of one operation: asked with `WAIT` or `WAITAOF` behind each write, on the
/// connection that carries it.
///
/// An operation waits at most once in vain. When a write has too few copies, those after it are sent without the question:
/// what they could add does not change that the operation as a whole has too few.
package final class RedisReplicaWait: Sendable {
    private struct State {
        var acknowledged: Int?
        var refusal: RedisError?
    }

    private let replicas: Int
    private let isOnDisk: Bool
    /// How long the server waits for its replicas.
    let timeout: Duration
    private let state = Mutex(State())

    /// - Parameters:
    ///   - replicas: How many replicas are waited for.
    ///   - isOnDisk: Whether the append-only files of the primary and of the replicas are meant, not their memory.
    ///   - timeout: How long the server waits for them; at least a millisecond, because 0 would be without end.
    package init(replicas: Int, isOnDisk: Bool, timeout: Duration) {
        self.replicas = replicas
        self.isOnDisk = isOnDisk
        self.timeout = timeout
    }

    /// How many copies are wanted: replicas, and the file of the primary if files are meant.
    package var wanted: Int { replicas + (isOnDisk ? 1 : 0) }

    /// How many copies have acknowledged the write that has the fewest, as far as was told in time.
    package var acknowledged: Int { state.withLock { $0.acknowledged ?? 0 } }

    /// Why the server has refused the question; nil if it did not.
    package var refusal: RedisError? { state.withLock(\.refusal) }

    /// Whether it is known that some write has too few copies.
    var isShort: Bool { state.withLock { ($0.acknowledged ?? wanted) < wanted } }

    /// Returns the question; `patience` replaces the timeout.
    func question(_ patience: Duration) -> RedisCommand {
        let milliseconds = "\(max(1, Int(patience / .milliseconds(1))))"
        return isOnDisk
            ? RedisCommand("WAITAOF", "1", "\(replicas)", milliseconds)
            : RedisCommand("WAIT", "\(replicas)", milliseconds)
    }

    /// Returns how many copies an answer names; none if it is an error.
    func copies(_ answer: RedisReply) -> Int {
        guard isOnDisk else { return min(answer.integer ?? 0, replicas) }
        guard answer.count == 2 else { return 0 }
        return min(answer[0].integer ?? 0, 1) + min(answer[1].integer ?? 0, replicas)
    }

    /// Notes the answer for writes that were carried out.
    func answered(_ answer: RedisReply) {
        let copies = copies(answer)
        state.withLock { state in
            state.acknowledged = min(state.acknowledged ?? copies, copies)
            state.refusal = state.refusal ?? answer.error
        }
    }
}
