// SPDX-License-Identifier: Apache-2.0

import Sessions

/// How a new log gets its sessions: between its origin and the first valid `open`, nothing can be changed.
///
/// All instances applied the same old log, some further than others, so that the state of the one that is
/// furthest contains what the others know, the ends included. Each instance claims how far it was; the best
/// claim is filled in, and opened. What the sessions are then is in the log alone: instances that kept
/// something else drop it.
struct Seeding: Sendable {
    struct Claim: Sendable {
        let nonce: UInt64
        /// How far its sender had applied the old log.
        let rank: LogPosition
        fileprivate(set) var rows: [SessionID: CopyTable.Row] = [:]
        fileprivate(set) var isComplete = false
    }

    /// Where the log begins.
    let origin: LogPosition
    /// Furthest first; of equal ones the earlier.
    private(set) var claims: [Claim] = []
    /// Grows with each entry that belongs to it.
    private(set) var progress = 0

    init(origin: LogPosition) { self.origin = origin }

    /// Applies an entry; gives the sessions of the new log when it opens.
    mutating func apply(_ entry: LogEntry, at position: LogPosition) -> [SessionID: CopyTable.Row]? {
        switch entry.content {
        case .claim(let rank):
            guard !claims.contains(where: { $0.nonce == entry.nonce }) else { return nil }
            claims.insert(
                Claim(nonce: entry.nonce, rank: rank),
                at: claims.firstIndex { $0.rank < rank } ?? claims.count
            )
        case .seed(let nonce, let id, let copy):
            guard let index = claims.firstIndex(where: { $0.nonce == nonce }) else { return nil }
            claims[index].rows[id] = CopyTable.Row(copy: copy, logged: origin)
        case .seeded(let nonce, let count):
            guard let index = claims.firstIndex(where: { $0.nonce == nonce }) else { return nil }
            claims[index].isComplete = claims[index].rows.count == count
        case .open(let nonce, let count):
            guard claims.count == count else { return nil }
            guard let nonce else { return count == 0 ? [:] : nil }
            return claims.first { $0.nonce == nonce && $0.isComplete }?.rows
        default: return nil
        }
        progress += 1
        return nil
    }
}

extension LogEntry.Content {
    /// Whether it may stand before the log is open.
    var isSeeding: Bool {
        switch self {
        case .claim, .seed, .seeded, .open, .tick: true
        default: false
        }
    }
}
