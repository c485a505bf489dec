// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// One caller that waits for one answer.
///
/// Three parties may end the wait: the event loop with an answer, a deadline, and the caller's own
/// cancellation. The first one wins, the others learn that they came too late. So a caller that left can
/// never be given a reply, and the reply it left behind can never reach anybody else: it is dropped where it
/// would have been handed over.
final class Exchange<Value: Sendable>: Sendable {
    typealias Answer = Result<Value, RedisError>

    private enum State {
        case fresh
        case waiting(CheckedContinuation<Answer, Never>, isParked: Bool)
        case finished
    }

    private let state = Mutex(State.fresh)

    /// Ends the wait with `answer`; false when it was over already.
    @discardableResult
    func finish(_ answer: Answer) -> Bool {
        guard let continuation = end()?.continuation else { return false }
        continuation.resume(returning: answer)
        return true
    }

    /// Whether nobody waits any more.
    var isFinished: Bool {
        state.withLock { if case .finished = $0 { true } else { false } }
    }

    /// Notes that the command stays in this process for now, which a cancellation then can promise to its
    /// caller.
    func park() { setParked(true) }

    /// Notes that the command is about to leave; false when its caller is gone, and then it must not.
    func unpark() -> Bool { setParked(false) }

    @discardableResult
    private func setParked(_ isParked: Bool) -> Bool {
        state.withLock {
            guard case .waiting(let continuation, _) = $0 else { return false }
            $0 = .waiting(continuation, isParked: isParked)
            return true
        }
    }

    private func end() -> (continuation: CheckedContinuation<Answer, Never>?, isParked: Bool)? {
        state.withLock { state in
            defer { state = .finished }
            switch state {
            case .fresh: return (nil, true)
            case .waiting(let continuation, let isParked): return (continuation, isParked)
            case .finished: return nil
            }
        }
    }

    private func cancel() {
        guard let (continuation, isParked) = end(), let continuation else { return }
        continuation.resume(returning: .failure(Self.cancelled(isParked ? .notSent : .unknown)))
    }

    private func start(_ continuation: CheckedContinuation<Answer, Never>) -> Bool {
        state.withLock {
            guard case .fresh = $0 else { return false }
            $0 = .waiting(continuation, isParked: false)
            return true
        }
    }

    private static func cancelled(_ outcome: RedisError.Outcome) -> RedisError {
        RedisError(.cancelled, outcome, "the caller was cancelled")
    }

    /// Runs `begin`, which hands the exchange to whoever will answer it, and waits.
    nonisolated(nonsending) static func wait(_ cancellation: RedisCancellation, begin: (Exchange) -> Void)
        async -> Answer
    {
        let exchange = Exchange()
        switch cancellation {
        case .ignore: return await exchange.suspend(begin)
        case .abandon:
            return await withTaskCancellationHandler {
                await exchange.suspend(begin)
            } onCancel: {
                exchange.cancel()
            }
        }
    }

    private nonisolated(nonsending) func suspend(_ begin: (Exchange) -> Void) async -> Answer {
        await withCheckedContinuation { continuation in
            if start(continuation) {
                begin(self)
            } else {
                continuation.resume(returning: .failure(Self.cancelled(.notSent)))
            }
        }
    }
}

/// What a cancelled task does about a command it waits for.
public enum RedisCancellation: Sendable {
    /// Stop waiting. The command may still be executed; its reply is dropped and disturbs nobody.
    case abandon
    /// Wait on; the deadline still holds. For writes whose outcome has to be known.
    case ignore
}
