// SPDX-License-Identifier: Apache-2.0

/// The requests that wait for a condition, with their deadlines.
///
/// Reads no clock and resumes nothing itself: the methods return the closures that are due, which the owner of
/// the lock calls after unlocking.
struct Waiters: Sendable {
    typealias Instant = ContinuousClock.Instant
    typealias Wakeup = @Sendable () -> Void

    private struct Waiter: Sendable {
        let condition: WaitCondition
        let deadline: Instant
        let resume: @Sendable (Bool) -> Void
    }

    private var waiters: [Waiter] = []
    private var isRunning = false

    /// Allows waiting, because the log is being read.
    mutating func started() { isRunning = true }

    /// Fails all requests that wait, and from now on all that would.
    mutating func stopped() -> [Wakeup] {
        isRunning = false
        return take(returning: false) { _ in true }
    }

    /// Fails the requests whose deadlines have passed.
    mutating func timePassed(_ now: Instant) -> [Wakeup] {
        take(returning: false) { $0.deadline <= now }
    }

    /// Resumes the requests whose conditions are met.
    mutating func conditionsChanged(_ isMet: (WaitCondition) -> Bool) -> [Wakeup] {
        take(returning: true) { isMet($0.condition) }
    }

    /// Lets a request wait for a condition that is not met.
    ///
    /// `resume` is called once, with whether the condition was met before the deadline; what is returned does so
    /// for a request that cannot wait.
    mutating func wait(
        for condition: WaitCondition,
        until deadline: Instant,
        now: Instant,
        resume: @escaping @Sendable (Bool) -> Void
    ) -> [Wakeup] {
        guard isRunning, now < deadline else { return [{ resume(false) }] }
        waiters.append(Waiter(condition: condition, deadline: deadline, resume: resume))
        return []
    }

    private mutating func take(returning value: Bool, where isDue: (Waiter) -> Bool) -> [Wakeup] {
        guard !waiters.isEmpty else { return [] }
        var due: [Wakeup] = []
        waiters.removeAll { waiter in
            guard isDue(waiter) else { return false }
            due.append { waiter.resume(value) }
            return true
        }
        return due
    }
}
