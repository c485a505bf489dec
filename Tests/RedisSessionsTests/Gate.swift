// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// A place where code under test waits until the test lets it go on.
final class Gate: Sendable {
    private struct State {
        var isOpen = true
        var losesBatches = false
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Mutex(State())

    /// What waited here for the gate has to be read again.
    struct Lost: Error {}

    func close() { state.withLock { $0.isOpen = false } }

    /// - Parameter losing: what waits here is told that it has lost what it carries.
    func open(losing: Bool = false) {
        let waiters = state.withLock { state in
            defer { state.waiters = [] }
            (state.isOpen, state.losesBatches) = (true, losing)
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    var hasWaiters: Bool { state.withLock { !$0.waiters.isEmpty } }

    @Sendable func pass() async throws {
        var hasWaited = false
        await withCheckedContinuation { continuation in
            let isOpen = state.withLock { state in
                if state.isOpen { return true }
                hasWaited = true
                state.waiters.append(continuation)
                return false
            }
            if isOpen { continuation.resume() }
        }
        if hasWaited, state.withLock({ $0.losesBatches }) { throw Lost() }
    }
}
