// SPDX-License-Identifier: Apache-2.0

import Sessions

/// The entries that bring the sessions of a candidate into a new log, in batches.
struct Transfer: Sendable {
    private let candidacy: UInt64
    private let limit: (sessions: Int, bytes: Int)
    private let count: Int
    private var rest: Dictionary<SessionID, ReplicatedRecord>.Iterator
    private var isComplete = false

    /// Creates the transfer of `records`, the ended ones included.
    ///
    /// A batch has at most `limit.sessions` sessions, and no further one once their attributes have more than
    /// `limit.bytes` bytes.
    init(
        of records: [SessionID: ReplicatedRecord],
        candidacy: UInt64,
        limit: (sessions: Int, bytes: Int)
    ) {
        self.candidacy = candidacy
        self.limit = limit
        count = records.count
        rest = records.makeIterator()
    }

    /// Returns the next entries, the last of which completes the transfer; nil after them.
    mutating func nextBatch() -> [LogEntry.Content]? {
        guard !isComplete else { return nil }
        var batch: [LogEntry.Content] = []
        var size = 0
        while batch.count < limit.sessions, size <= limit.bytes {
            guard let (id, record) = rest.next() else {
                isComplete = true
                batch.append(.transferComplete(candidacy: candidacy, count: count))
                break
            }
            batch.append(.transfer(candidacy: candidacy, id, record))
            size += record.session.size
        }
        return batch
    }
}
