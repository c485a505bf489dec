// SPDX-License-Identifier: Apache-2.0

import NIOCore

extension PendingReply {
    /// Calls `begin` and waits for the result until a deadline, or until the caller's task is cancelled.
    ///
    /// Has a timer for each wait, which is gone afterwards: for waits that are few.
    static func wait(
        until deadline: NIODeadline,
        on eventLoop: any EventLoop,
        orFail error: RedisError,
        begin: (PendingReply) -> Void
    ) async -> Answer {
        var timer: Scheduled<Void>?
        let answer = await wait(.abandon) { pending in
            begin(pending)
            guard !pending.isFinished else { return }
            timer = eventLoop.scheduleTask(deadline: deadline) { _ = pending.finish(.failure(error)) }
        }
        timer?.cancel()
        return answer
    }
}
