// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// How many copies have acknowledged what an operation has stored, of those that its store was told to wait for.
///
/// What counts as a copy is the store's: see `SessionDurability` of `RedisSessions`. Too few copies are no error: the
/// write is stored, and only a failover to a server without it undoes it. It is reported as the event `notReplicated`, and
/// returned by `collect`.
public struct SessionAcknowledgement: Hashable, Sendable, CustomStringConvertible {
    /// How many copies were wanted; at least one.
    public let wanted: Int
    /// How many have acknowledged in time; of an operation with several writes, for the write that has the fewest.
    ///
    /// More may have it by now.
    public let acknowledged: Int

    /// Whether as many have acknowledged as were wanted.
    public var isComplete: Bool { acknowledged >= wanted }

    /// The numbers, as in `copies in time: 0 of 1`.
    public var description: String { "copies in time: \(acknowledged) of \(wanted)" }

    /// Creates a value; for stores.
    public init(wanted: Int, acknowledged: Int) {
        self.wanted = wanted
        self.acknowledged = acknowledged
    }

    /// Runs operations on sessions, and returns with their answer how many copies have what they have stored.
    ///
    /// ```swift
    /// let (count, acknowledgement) = try await SessionAcknowledgement.collect {
    ///     try await sessions.revokeAll(of: "ann")
    /// }
    /// ```
    ///
    /// - Parameter operations: the operations. What they leave to tasks that are not their children is not seen.
    /// - Returns: what `operations` returns, and the acknowledgement that lacks most; nil when nothing was waited for,
    ///   because nothing was stored, because it was none of the writes that are waited for, or because the
    ///   store waits for none.
    /// - Throws: what `operations` throws.
    public nonisolated(nonsending) static func collect<Answer>(
        _ operations: nonisolated(nonsending) () async throws -> Answer
    ) async rethrows -> (Answer, SessionAcknowledgement?) {
        let outer = Collector.current
        let collector = Collector()
        defer { if let outer, let found = collector.worst { outer.add(found) } }
        let answer = try await Collector.$current.withValue(collector, operation: operations)
        return (answer, collector.worst)
    }

    /// Tells the caller of an operation, who may be a wrapper or a manager; for stores, once what was waited for is stored.
    public func report() { Collector.current?.add(self) }
}

/// What was reported inside of one `collect`.
private final class Collector: Sendable {
    @TaskLocal static var current: Collector?

    private let found = Mutex<SessionAcknowledgement?>(nil)

    /// The report that lacks most copies.
    var worst: SessionAcknowledgement? { found.withLock(\.self) }

    func add(_ other: SessionAcknowledgement) {
        found.withLock { found in
            guard let before = found else { return found = other }
            if other.wanted - other.acknowledged > before.wanted - before.acknowledged { found = other }
        }
    }
}
