// SPDX-License-Identifier: Apache-2.0

/// What sequential clients did and saw, and whether that kept the session guarantees (promise 4).
///
/// Pure. Everybody appends unique values to one list and adds 1 to one counter, so the order of all changes
/// can be read off what the clients saw.
struct ClientHistory: Sendable {
    enum Event: Sendable {
        /// An append that was answered with success, and one whose outcome nobody knows.
        case appended(String)
        case attempted(String)
        /// An increment that was answered with success, and one whose outcome nobody knows.
        case counted
        case attemptedCount
        /// A read: the list, the counter and the version that came with them, and who answered.
        case read(list: [String], counter: Int, version: Int, from: String)
    }

    /// The events of each client in the order in which that client lived them.
    var clients: [[Event]] = []

    /// Returns a sentence for each violation.
    ///
    /// - Parameter final: what a last read, after everything, showed.
    /// - Returns: the sentences; empty when there is no violation.
    func violations(final: (list: [String], counter: Int)) -> [String] {
        var found: [String] = []
        for (client, events) in clients.enumerated() { found += violations(of: events, client) }
        found += lostUpdates(final)
        var longest = final.list
        for list in clients.joined().compactMap(\.list).sorted(by: { $0.count > $1.count }) {
            if !longest.starts(with: list) {
                found.append("two readers saw different orders: \(list.suffix(3))")
            }
            if list.count > longest.count { longest = list }
        }
        return found
    }

    /// Read your writes, and monotonic reads.
    private func violations(of events: [Event], _ client: Int) -> [String] {
        var found: [String] = []
        var mine: [String] = []
        var counted = 0
        var seen: (list: [String], counter: Int, version: Int) = ([], 0, 0)
        for event in events {
            switch event {
            case .appended(let value): mine.append(value)
            case .counted: counted += 1
            case .attempted, .attemptedCount: break
            case .read(let list, let counter, let version, let instance):
                let missing = Set(mine).subtracting(list)
                if !missing.isEmpty {
                    found.append("client \(client) on \(instance) does not see its own \(missing.sorted())")
                }
                if counter < counted {
                    found.append("client \(client) on \(instance) counted \(counted) and sees \(counter)")
                }
                if !list.starts(with: seen.list) {
                    found.append("client \(client) on \(instance) saw more of the list before")
                }
                if counter < seen.counter {
                    found.append("client \(client) on \(instance): \(counter) after \(seen.counter)")
                }
                if version < seen.version {
                    found.append("client \(client) on \(instance): version \(version) after \(seen.version)")
                }
                seen = (list, counter, version)
            }
        }
        return found
    }

    private func lostUpdates(_ final: (list: [String], counter: Int)) -> [String] {
        var found: [String] = []
        let all = Array(clients.joined())
        let (acknowledged, unknown) = (all.compactMap(\.appended), all.compactMap(\.attempted))
        let lost = Set(acknowledged).subtracting(final.list)
        if !lost.isEmpty {
            found.append("\(lost.count) acknowledged appends are lost: \(lost.sorted().prefix(3))")
        }
        if Set(final.list).count != final.list.count { found.append("an append was stored twice") }
        let strange = Set(final.list).subtracting(acknowledged + unknown)
        if !strange.isEmpty { found.append("nobody appended \(strange.sorted().prefix(3))") }
        let counted = all.count { if case .counted = $0 { true } else { false } }
        let perhaps = all.count { if case .attemptedCount = $0 { true } else { false } }
        if !(counted...counted + perhaps).contains(final.counter) {
            found.append(
                "\(counted) acknowledged increments, \(perhaps) unknown, and the counter is \(final.counter)"
            )
        }
        return found
    }
}

extension ClientHistory.Event {
    fileprivate var appended: String? { if case .appended(let value) = self { value } else { nil } }
    fileprivate var attempted: String? { if case .attempted(let value) = self { value } else { nil } }
    fileprivate var list: [String]? { if case .read(let list, _, _, _) = self { list } else { nil } }
}
