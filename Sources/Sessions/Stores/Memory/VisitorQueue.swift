// SPDX-License-Identifier: Apache-2.0

/// The sessions of visitors that a full store in memory gives up for users who sign in, those that would expire first
/// to begin with (R79).
///
/// Sorted only when one is needed; which ones still are sessions of visitors is asked then.
package struct VisitorQueue: Sendable {
    /// When the session of a visitor expires; nil when it is over, or a user's by now.
    package typealias Expiry = (SessionID) -> SessionInstant?

    private var arrivals: [SessionID] = []
    /// How many may arrive before those that are over are forgotten.
    private var limit = 1000
    /// The last goes first.
    private var sorted: [(id: SessionID, expiry: SessionInstant)] = []

    package init() {}

    /// Adds the session of a visitor.
    package mutating func append(_ id: SessionID, _ expiry: Expiry) {
        arrivals.append(id)
        guard arrivals.count > limit else { return }
        arrivals = arrivals.filter { expiry($0) != nil }
        limit = max(1000, 2 * arrivals.count)
    }

    /// Takes the next one; nil when no visitor is left.
    package mutating func next(_ expiry: Expiry) -> SessionID? {
        while true {
            while let (id, known) = sorted.popLast() {
                guard let expiry = expiry(id) else { continue }
                if expiry == known { return id }
                // It was used since.
                arrivals.append(id)
            }
            sorted = arrivals.reversed().compactMap { id in expiry(id).map { (id, $0) } }
            sorted.sort { $0.expiry > $1.expiry }
            arrivals = []
            if sorted.isEmpty { return nil }
        }
    }
}

extension RecordState {
    /// When it expires, as the live session of somebody who has not signed in; nil for others.
    package func visitorExpiry(at now: SessionInstant) -> SessionInstant? {
        principalHash == nil && isAlive(at: now) ? expiry : nil
    }

    /// Returns the sessions of one user above a limit, those that signed in first (R80).
    ///
    /// - Parameters:
    ///   - live: the user's live sessions; of those that signed in at the same instant the first goes first.
    ///   - maximum: how many there may be.
    ///   - kept: the session that has just signed in; it is never returned.
    /// - Returns: the sessions to end.
    package static func surplus(
        of live: [(id: SessionID, session: RecordState)],
        above maximum: Int,
        keeping kept: SessionID
    ) -> [SessionID] {
        let others = live.filter { $0.id != kept }
        let start = SessionInstant(milliseconds: 0)
        let sorted = others.sorted {
            ($0.session.times.authenticated ?? start) < ($1.session.times.authenticated ?? start)
        }
        return sorted.prefix(max(0, others.count + 1 - maximum)).map(\.id)
    }
}
