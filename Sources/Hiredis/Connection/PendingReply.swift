// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// One caller's wait for one result.
///
/// Three parties may finish it: the event loop with a reply, a deadline, and the caller's cancellation. The
/// first one wins and the others learn that they were late. So a caller that was cancelled never receives a
/// reply, and its reply never reaches another caller: it is dropped on delivery.
final class PendingReply<Value: Sendable>: Sendable {
    typealias Answer = Result<Value, RedisError>

    private enum State {
        case created
        case waiting(CheckedContinuation<Answer, Never>, isParked: Bool)
        case finished
    }

    private let state = Mutex(State.created)

    /// Resumes the caller with `answer`; returns false when the wait was already finished.
    @discardableResult
    func finish(_ answer: Answer) -> Bool {
        guard let continuation = takeContinuation()?.continuation else { return false }
        continuation.resume(returning: answer)
        return true
    }

    /// Whether the caller does not wait any more.
    var isFinished: Bool {
        state.withLock { if case .finished = $0 { true } else { false } }
    }

    /// Notes that the command is still in this process: a cancellation then has the outcome `notSent`.
    func park() { setParked(true) }

    /// Notes that the command is about to be sent; returns false when the caller was cancelled, and the
    /// command must not be sent.
    func unpark() -> Bool { setParked(false) }

    @discardableResult
    private func setParked(_ isParked: Bool) -> Bool {
        state.withLock {
            guard case .waiting(let continuation, _) = $0 else { return false }
            $0 = .waiting(continuation, isParked: isParked)
            return true
        }
    }

    private func takeContinuation() -> (continuation: CheckedContinuation<Answer, Never>?, isParked: Bool)? {
        state.withLock { state in
            defer { state = .finished }
            switch state {
            case .created: return (nil, true)
            case .waiting(let continuation, let isParked): return (continuation, isParked)
            case .finished: return nil
            }
        }
    }

    private func cancel() {
        guard let (continuation, isParked) = takeContinuation(), let continuation else { return }
        continuation.resume(returning: .failure(Self.cancelled(isParked ? .notSent : .unknown)))
    }

    private func start(_ continuation: CheckedContinuation<Answer, Never>) -> Bool {
        state.withLock {
            guard case .created = $0 else { return false }
            $0 = .waiting(continuation, isParked: false)
            return true
        }
    }

    private static func cancelled(_ outcome: RedisError.Outcome) -> RedisError {
        RedisError(.cancelled, outcome, "the caller was cancelled")
    }

    /// Calls `begin`, which passes the pending reply to the party that will finish it, and waits.
    static func wait(_ cancellation: RedisCancellation, begin: (PendingReply) -> Void) async -> Answer {
        let pending = PendingReply()
        switch cancellation {
        case .ignore: return await pending.suspend(begin)
        case .abandon:
            return await withTaskCancellationHandler {
                await pending.suspend(begin)
            } onCancel: {
                pending.cancel()
            }
        }
    }

    private func suspend(_ begin: (PendingReply) -> Void) async -> Answer {
        await withCheckedContinuation { continuation in
            if start(continuation) {
                begin(self)
            } else {
                continuation.resume(returning: .failure(Self.cancelled(.notSent)))
            }
        }
    }
}
