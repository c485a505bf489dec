// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// One caller's wait for the replies to one request.
///
/// Three parties may finish it: the event loop with the replies, a deadline, and the caller's cancellation. The
/// first one wins and the others learn that they were late. So a caller that was cancelled never receives a
/// reply, and its reply never reaches another caller: it is dropped on delivery.
///
/// Not generic, and one word instead of a lock: there is one for each command.
///
/// `CancellationTests` make the parties meet; `make tsan` does so under ThreadSanitizer.
// `@unchecked Sendable`: two fields are not atomic. Invariant: `state` leaves `created` once and becomes `finished` once,
// and that orders every access to them, as it says beside each.
@safe final class PendingReply: @unchecked Sendable {
    typealias Answer = Result<Replies, RedisError>

    private enum State: UInt8, AtomicRepresentable {
        case created
        case waiting
        /// Waiting, with a command that is still in this process.
        case parked
        case finished
    }

    private let state = Atomic(State.created)
    /// Invariant: written by the caller before `state` becomes `waiting` (a release), and read only by the party that
    /// then makes it `finished` (an acquisition).
    private var continuation: UnsafeContinuation<Void, Never>?
    /// Invariant: written by that party alone, before it resumes the caller, and read by the caller alone, after it was
    /// resumed.
    private var answer: Answer?

    /// Resumes the caller with `answer`; returns false when the wait was already finished.
    @discardableResult
    func finish(_ answer: Answer) -> Bool {
        let before = claim()
        guard before == .waiting || before == .parked else { return false }
        resume(answer)
        return true
    }

    /// Whether the caller does not wait any more.
    var isFinished: Bool { state.load(ordering: .relaxed) == .finished }

    /// Notes that the command is still in this process: a cancellation then has the outcome `notSent`.
    func park() { move(from: .waiting, to: .parked) }

    /// Notes that the command is about to be sent; returns false when the caller was cancelled, and the
    /// command must not be sent.
    func unpark() -> Bool {
        move(from: .parked, to: .waiting) || !isFinished
    }

    /// Ends the wait; only for the first caller the state before is not `finished`.
    private func claim() -> State { state.exchange(.finished, ordering: .acquiringAndReleasing) }

    @discardableResult
    private func move(from before: State, to after: State) -> Bool {
        state.compareExchange(expected: before, desired: after, ordering: .acquiringAndReleasing).exchanged
    }

    private func resume(_ answer: Answer) {
        self.answer = answer
        unsafe continuation?.resume()
    }

    private func cancel() {
        switch claim() {
        case .waiting: resume(.failure(Self.cancelled(.unknown)))
        case .parked: resume(.failure(Self.cancelled(.notSent)))
        case .created, .finished: break
        }
    }

    private static func cancelled(_ outcome: RedisError.Outcome) -> RedisError {
        RedisError(.cancelled, outcome, "the caller was cancelled")
    }

    /// Calls `begin`, which passes this object to the party that will finish it, and waits.
    ///
    /// Once only.
    func wait(_ cancellation: RedisCancellation, begin: () -> Void) async -> Answer {
        switch cancellation {
        case .ignore: await suspend(begin)
        case .abandon:
            await withTaskCancellationHandler {
                await suspend(begin)
            } onCancel: {
                cancel()
            }
        }
        // Nobody answers a caller that was cancelled before `begin`.
        return answer ?? .failure(Self.cancelled(.notSent))
    }

    private func suspend(_ begin: () -> Void) async {
        unsafe await withUnsafeContinuation { continuation in
            unsafe self.continuation = continuation
            if move(from: .created, to: .waiting) {
                begin()
            } else {
                unsafe continuation.resume()
            }
        }
    }
}
