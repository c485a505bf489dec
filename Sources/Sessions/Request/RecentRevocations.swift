// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// When this process last ended sessions of a user, and in which request, remembered for as long as a request may run.
///
/// A sign-in is refused when a revocation overtakes it (R28). One that the same request made first, and then signed in
/// ("password changed, sign out everywhere, sign in here"), has not overtaken it.
final class RecentRevocations: Sendable {
    private struct Key: Hashable {
        let principal: String
        let request: UInt64?
    }

    private let times = Mutex<[Key: ContinuousClock.Instant]>([:])

    func note(_ principal: String) {
        let key = Key(principal: principal, request: RequestIdentity.current?.number)
        let now = ContinuousClock.now
        times.withLock { times in
            if times.count >= 1000 { times = times.filter { now - $0.value < SessionPolicy.tombstone } }
            times[key] = now
        }
    }

    /// Whether the request ended sessions of the user before.
    func wasNoted(_ principal: String, by request: RequestIdentity?, before time: ContinuousClock.Instant)
        -> Bool
    {
        let key = Key(principal: principal, request: request?.number)
        return times.withLock { $0[key].map { $0 < time } ?? false }
    }
}
