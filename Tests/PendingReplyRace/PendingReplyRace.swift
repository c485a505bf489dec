// SPDX-License-Identifier: Apache-2.0

import Foundation
import Synchronization

/// Stands for the replies, which `PendingReply` only passes on.
struct Replies: Sendable {
    var numbers: [Int]
}

/// The race of a reply, a deadline and a cancellation for one caller, for ThreadSanitizer: see `Scripts/tsan.sh`.
///
/// Built from the sources of `PendingReply`, `RedisError` and `RedisCancellation` alone, because ThreadSanitizer does not know
/// the standard library's `Mutex`, which the rest of the client uses. The parties are threads, not tasks, and are told to
/// begin without any ordering of memory: so only `PendingReply` orders what they read.
@main struct PendingReplyRace {
    private static let rounds = 20_000
    private static let late = RedisError(.timeout, .unknown, "late")

    /// A caller's wait, and whether it has begun.
    private final class Wait: Sendable {
        let pending = PendingReply()
        let hasBegun = Atomic(false)

        func answer() async -> PendingReply.Answer {
            await pending.wait(.abandon) { hasBegun.store(true, ordering: .relaxed) }
        }
    }

    static func main() async {
        let waits = (0..<rounds).map { _ in Wait() }
        for answer in [nil, PendingReply.Answer.failure(late)] {
            Thread {
                for (round, wait) in waits.enumerated() {
                    while !wait.hasBegun.load(ordering: .relaxed) { sched_yield() }
                    wait.pending.finish(answer ?? .success(Replies(numbers: [round])))
                }
            }.start()
        }
        var (replied, timedOut, cancelled) = (0, 0, 0)
        for (round, wait) in waits.enumerated() {
            let caller = Task { await wait.answer() }
            if round % 3 == 0 { caller.cancel() }
            let answer = await caller.value
            // A caller that was cancelled early has not begun.
            wait.hasBegun.store(true, ordering: .relaxed)
            switch answer {
            case .success(let replies):
                precondition(replies.numbers == [round])
                replied += 1
            case .failure(late): timedOut += 1
            case .failure: cancelled += 1
            }
            precondition(wait.pending.isFinished && !wait.pending.finish(.failure(late)))
        }
        precondition(replied > 0 && timedOut > 0 && cancelled > 0)
        print("\(rounds) races: \(replied) replied, \(timedOut) late, \(cancelled) cancelled")
    }
}
