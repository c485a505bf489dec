// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Synchronization

/// One caller's wait for something other than replies, by the rules of `PendingReply`.
final class PendingValue<Value: Sendable>: Sendable {
    typealias Answer = Result<Value, RedisError>

    private let pending = PendingReply()
    private let value = Mutex<Value?>(nil)

    /// Resumes the caller with `answer`; returns false when the wait was already finished.
    ///
    /// Only one party may have a value to offer.
    @discardableResult
    func finish(_ answer: Answer) -> Bool {
        switch answer {
        case .success(let value):
            self.value.withLock { $0 = value }
            return pending.finish(.success(.many([])))
        case .failure(let error): return pending.finish(.failure(error))
        }
    }

    /// Whether the caller does not wait any more.
    var isFinished: Bool { pending.isFinished }

    /// Notes that a cancellation has the outcome `notSent`.
    func park() { pending.park() }

    /// Calls `begin` and waits for the result until a deadline; a cancellation of the caller's task ends the wait
    /// unless it is ignored.
    ///
    /// Has a timer for each wait, which is gone afterwards: for waits that are few.
    static func wait(
        until deadline: NIODeadline,
        on eventLoop: any EventLoop,
        orFail error: RedisError,
        _ cancellation: RedisCancellation = .abandon,
        begin: (PendingValue) -> Void
    ) async -> Answer {
        var timer: Scheduled<Void>?
        let waiting = PendingValue()
        let answer = await waiting.pending.wait(cancellation) {
            begin(waiting)
            guard !waiting.isFinished else { return }
            timer = eventLoop.scheduleTask(deadline: deadline) { _ = waiting.finish(.failure(error)) }
        }
        timer?.cancel()
        return answer.map { _ in waiting.value.withLock { $0! } }
    }
}
