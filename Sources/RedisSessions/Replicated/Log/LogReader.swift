// SPDX-License-Identifier: Apache-2.0

import Hiredis
import Sessions

/// Reads the log on a dedicated connection, and begins one where there is none.
struct LogReader {
    private let log: ReplicationLog
    /// The maximum number of entries of the next read; lowered after a read that was too large.
    private var limit: Int
    /// Whether the last read reached the end of the log.
    private var isAtEnd = false

    init(_ log: ReplicationLog) {
        self.log = log
        limit = log.options.pageSize
    }

    /// Reads until the task is cancelled; connects again after errors.
    mutating func run() async {
        while !Task.isCancelled {
            do {
                try await log.redis.withDedicatedConnection(for: log.commands.key) { connection in
                    while !Task.isCancelled { try await read(connection) }
                }
            } catch let error as RedisError where error.code == .protocol {
                limit = max(limit / 4, 1)
            } catch {}
            try? await Task.sleep(for: .milliseconds(Int.random(in: 50...250)))
        }
    }

    /// Reads one page, in one round trip.
    private nonisolated(nonsending) mutating func read(_ connection: RedisDedicatedConnection) async throws {
        let asked = ContinuousClock.now
        let (after, tag) = log.applied
        let blockTimeout = isAtEnd ? log.options.blockTimeout : nil
        isAtEnd = false
        let replies = try await connection.send(
            [
                log.commands.read(after: after, limit: limit, blockTimeout: blockTimeout),
                log.commands.bounds(lookingFor: after),
            ],
            timeout: log.options.blockTimeout + .seconds(1)
        )
        let received = ContinuousClock.now
        if let error = replies[0].error ?? replies[1].error {
            if error.prefix == "WRONGTYPE" { log.readRefused() }
            throw error
        }
        guard let bounds = LogBounds(replies[1], lookingFor: tag) else { return }
        try await log.beforeApplying?()
        let page = LogPage(
            after: after,
            entries: LogPage.entries(in: replies[0], log.codec),
            bounds: bounds,
            asked: asked,
            received: received
        )
        switch log.pageRead(page) {
        case .readOn: break
        case .awaitEntries:
            limit = min(limit * 2, log.options.pageSize)
            isAtEnd = true
        case .beginLog(let last): try await log.begin(after: last, serverTime: bounds.time / 1000)
        }
    }
}
