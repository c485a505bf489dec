// SPDX-License-Identifier: Apache-2.0

import Hiredis
import Sessions
import Synchronization

/// Follows the log on a connection of its own: reads, checks that it still is the same log, applies.
struct LogReader {
    let log: ReplicatedLog
    /// The most entries of one read; fewer after a read that was too large.
    private var page: Int

    init(_ log: ReplicatedLog) {
        self.log = log
        page = log.options.page
    }

    /// Reads until the task is cancelled; connects again and again when Redis is away.
    mutating func run() async {
        while !Task.isCancelled {
            do {
                try await log.redis.withDedicatedConnection { connection in
                    while !Task.isCancelled { try await read(connection) }
                }
            } catch let error as RedisError where error.code == .protocol {
                page = max(page / 4, 1)
            } catch {}
            try? await Task.sleep(for: .milliseconds(Int.random(in: 50...250)))
        }
    }

    /// Whether the last read left nothing to read.
    private var isAtEnd = false

    /// One round trip: what is new, or nothing for a while, and where the log begins and ends after that.
    private nonisolated(nonsending) mutating func read(_ connection: RedisDedicatedConnection) async throws {
        let asked = ContinuousClock.now
        let before = log.state.withLock { $0.applied }
        var command = RedisCommand("XREAD", "COUNT", "\(page)")
        if isAtEnd {
            command.append("BLOCK")
            command.append("\(log.options.blocking.wholeMilliseconds)")
        }
        command.append("STREAMS")
        command.append(log.key)
        command.append(before.description)
        isAtEnd = false
        let replies = try await connection.send(
            [command, log.extentCommand(before)],
            timeout: log.options.blocking + .seconds(1)
        )
        let received = ContinuousClock.now
        if let error = replies[0].error ?? replies[1].error {
            if error.prefix == "WRONGTYPE" { log.state.withLock { $0.statistics.refused += 1 } }
            throw error
        }
        guard let extent = ReplicatedLog.Extent(replies[1]) else { return }
        try await log.beforeApplying?()
        guard isSameLog(extent, read: before, at: received) else { return }
        guard let last = extent.last else { return try await log.begin(after: nil, serverTime: extent.time) }
        let entries = replies[0].count > 0 ? replies[0][0][1] : nil
        apply(entries)
        let (applied, isForeign) = log.state.withLock {
            ($0.applied, $0.applied >= last && $0.building.map { $0.epoch == nil } ?? false)
        }
        if isForeign { return try await log.begin(after: last, serverTime: extent.time) }
        guard applied >= last else { return }
        page = min(page * 2, log.options.page)
        isAtEnd = true
        wake { state, wake in state.reachedEnd(at: asked, &wake) }
    }

    /// Whether the log still has the entry that was applied last; if not, reading starts over.
    private func isSameLog(
        _ extent: ReplicatedLog.Extent,
        read before: LogPosition,
        at instant: ContinuousClock.Instant
    ) -> Bool {
        log.state.withLock { state in
            state.clock.heard(extent.time, at: instant)
            guard before != .start else { return true }
            // Gone with the rest, trimmed away because this instance was away for long, or never there: a
            // Redis that came back with less than it had goes on with other entries after a shorter log.
            if !extent.isFound { state.startOver(isLost: extent.last.map { $0 < before } ?? true) }
            return extent.isFound
        }
    }

    private func apply(_ entries: RedisReply?) {
        guard let entries else { return }
        let codec = log.codec
        // Decoding is most of the work, and needs no lock.
        let decoded = (0..<entries.count).compactMap { index -> (LogPosition, LogEntry?)? in
            let entry = entries[index]
            guard entry.count == 2, let position = entry[0].string.flatMap(LogPosition.init) else {
                return nil
            }
            let fields = entry[1]
            guard fields.count == 2, fields[0].string == "e", let bytes = fields[1].bytes else {
                return (position, nil)
            }
            return (position, codec.decode(bytes))
        }
        wake { state, wake in
            for (position, entry) in decoded where !state.came(entry, at: position, &wake) { break }
            wake.readers += state.settled()
        }
    }

    private func wake(_ body: (inout LogState, inout LogState.Wake) -> Void) {
        var wake = LogState.Wake()
        log.state.withLock { body(&$0, &wake) }
        wake()
    }
}
