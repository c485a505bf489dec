// SPDX-License-Identifier: Apache-2.0

/// What the demo's own visitors were promised, and what they have found.
///
/// An acknowledged change is pending until its visitor reads; then it is seen or lost. One that was seen and is missing
/// later, because its session is gone, is lost after all.
struct Ledger {
    static let columns = ["acknowledged", "seen", "lost", "refused"]

    private struct Account {
        /// What the visitor has read last.
        var found = 0
        var pending = 0
    }

    private var accounts: [Int: Account] = [:]
    private(set) var acknowledged = 0
    private(set) var lost = 0
    private(set) var refused = 0

    /// Changes that were found, and have not been missed since.
    var seen: Int { acknowledged - lost - accounts.values.reduce(0) { $0 + $1.pending } }

    init() {}

    /// Goes on with what an earlier run has written; what was pending then is left out.
    init(_ text: String) {
        let pairs = Demo.pairs(text).compactMapValues(Int.init)
        lost = pairs["lost"] ?? 0
        acknowledged = (pairs["seen"] ?? 0) + lost
        refused = pairs["refused"] ?? 0
    }

    /// The shop has answered that a change is stored.
    mutating func acknowledge(_ visitor: Int) {
        acknowledged += 1
        accounts[visitor, default: Account()].pending += 1
    }

    /// A visitor begins anew, with a session of its own; what it has not read back is left out.
    mutating func forget(_ visitor: Int) {
        acknowledged -= accounts.removeValue(forKey: visitor)?.pending ?? 0
    }

    /// The shop has refused a request, or has not answered: a change may be stored all the same.
    mutating func refuse() { refused += 1 }

    /// A visitor has read how many of its changes are stored.
    mutating func read(_ count: Int, by visitor: Int) {
        let account = accounts[visitor] ?? Account()
        lost += max(0, account.found + account.pending - count)
        accounts[visitor] = Account(found: count)
    }

    var text: String { "acknowledged=\(acknowledged) seen=\(seen) lost=\(lost) refused=\(refused)\n" }
}
