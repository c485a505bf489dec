// SPDX-License-Identifier: Apache-2.0

import Sessions

/// The recovery of the sessions into a new log: from its origin to the activation, no session can be changed.
///
/// All instances applied the same old log, some further than others, so the sessions of the one that is
/// furthest, the ended ones included, contain what the others know. Each instance announces its candidacy; the
/// sessions of the best candidate are transferred and activated. From then on the log alone decides which
/// sessions exist: instances drop what else they had.
struct LogRecovery: Sendable {
    struct Candidate: Hashable, Sendable {
        let nonce: UInt64
        /// How far the candidate has applied the old logs.
        let rank: LogRank
        /// Whether all its sessions have been transferred.
        var isComplete = false
    }

    /// What an entry did to the recovery.
    enum Step: Equatable, Sendable {
        case refused
        case noted
        /// The new log has these sessions.
        case activated([SessionID: ReplicatedRecord])
    }

    /// The position of the log's first entry.
    let origin: LogPosition
    /// The candidates by descending rank, those of equal rank in the order of their entries.
    private(set) var candidates: [Candidate] = []
    /// The number of entries that were part of the recovery.
    private(set) var progress = 0
    private var transferred: [UInt64: [SessionID: ReplicatedRecord]] = [:]

    init(origin: LogPosition) { self.origin = origin }

    /// Applies an entry between the origin and the activation.
    mutating func apply(_ entry: LogEntry) -> Step {
        switch entry.content {
        case .candidacy(let rank): add(Candidate(nonce: entry.nonce, rank: rank))
        case .transfer(let nonce, let id, let record):
            guard candidates.contains(where: { $0.nonce == nonce }) else { break }
            transferred[nonce, default: [:]][id] = record
            progress += 1
        case .transferComplete(let nonce, let count):
            guard let index = candidates.firstIndex(where: { $0.nonce == nonce }) else { break }
            candidates[index].isComplete = transferred[nonce, default: [:]].count == count
            progress += 1
        case .activate(let nonce, let count):
            guard candidates.count == count, let records = records(of: nonce) else { break }
            return .activated(records)
        case .origin, .heartbeat: break
        case .create, .commit, .touch, .end, .revoke, .revokeAll, .snapshot: return .refused
        }
        return .noted
    }

    private mutating func add(_ candidate: Candidate) {
        guard !candidates.contains(where: { $0.nonce == candidate.nonce }) else { return }
        candidates.insert(
            candidate,
            at: candidates.firstIndex { $0.rank < candidate.rank } ?? candidates.count
        )
        progress += 1
    }

    /// Returns the sessions of a complete candidate; none at all for nil, if there are no candidates.
    private func records(of nonce: UInt64?) -> [SessionID: ReplicatedRecord]? {
        guard let nonce else { return candidates.isEmpty ? [:] : nil }
        guard candidates.contains(where: { $0.nonce == nonce && $0.isComplete }) else { return nil }
        return transferred[nonce, default: [:]]
    }
}
