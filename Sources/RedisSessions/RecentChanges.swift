// SPDX-License-Identifier: Apache-2.0

import Sessions
import Synchronization

/// The sessions that this process has changed or ended a short time ago.
final class RecentChanges: Sendable {
    private struct State: Sendable {
        var current: Set<SessionID> = []
        var previous: Set<SessionID> = []
        var began = ContinuousClock.now
    }

    private let duration: Duration
    private let state = Mutex(State())

    /// Remembers each session for `duration` at least, and twice as long at most.
    init(for duration: Duration) { self.duration = duration }

    func insert(_ ids: some Sequence<SessionID>) {
        state.withLock { state in
            advance(&state)
            state.current.formUnion(ids)
        }
    }

    func contains(_ id: SessionID) -> Bool {
        state.withLock { state in
            advance(&state)
            return state.current.contains(id) || state.previous.contains(id)
        }
    }

    private func advance(_ state: inout State) {
        let now = ContinuousClock.now
        guard now - state.began > duration else { return }
        state.previous = now - state.began > duration * 2 ? [] : state.current
        (state.current, state.began) = ([], now)
    }
}
