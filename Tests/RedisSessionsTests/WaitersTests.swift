// SPDX-License-Identifier: Apache-2.0

import Synchronization
import Testing

@testable import RedisSessions

@Suite(.limited) struct `Waiting requests` {
    /// Records what waiting requests were resumed with.
    private final class Resumed: Sendable {
        private let values = Mutex<[Int: Bool]>([:])

        func callAsFunction(_ number: Int) -> @Sendable (Bool) -> Void {
            { value in self.values.withLock { #expect($0.updateValue(value, forKey: number) == nil) } }
        }

        /// What was resumed since the last call.
        func taken(_ wakeups: [Waiters.Wakeup]) -> [Int: Bool] {
            for wakeup in wakeups { wakeup() }
            return values.withLock { values in
                defer { values = [:] }
                return values
            }
        }
    }

    private let start = ContinuousClock.now
    private let resumed = Resumed()

    @Test func `a request waits until its condition is met`() {
        var waiters = Waiters()
        waiters.started()
        let conditions = [WaitCondition.writable, .outcome(of: 7), .applied(.start), .outcome(of: 7)]
        for (number, condition) in conditions.enumerated() {
            let wakeups = waiters.wait(
                for: condition,
                until: start + .seconds(1),
                now: start,
                resume: resumed(number)
            )
            #expect(wakeups.isEmpty)
        }
        #expect(resumed.taken(waiters.conditionsChanged { _ in false }) == [:])
        #expect(resumed.taken(waiters.conditionsChanged { $0 == .outcome(of: 7) }) == [1: true, 3: true])
        #expect(resumed.taken(waiters.conditionsChanged { _ in true }) == [0: true, 2: true])
        #expect(resumed.taken(waiters.conditionsChanged { _ in true }) == [:])
    }

    @Test func `a request fails at its deadline, not before`() {
        var waiters = Waiters()
        waiters.started()
        for number in 1...3 {
            _ = waiters.wait(
                for: .writable,
                until: start + .seconds(number),
                now: start,
                resume: resumed(number)
            )
        }
        #expect(resumed.taken(waiters.timePassed(start + .milliseconds(999))) == [:])
        #expect(resumed.taken(waiters.timePassed(start + .seconds(1))) == [1: false])
        #expect(resumed.taken(waiters.timePassed(start + .seconds(9))) == [2: false, 3: false])
        let wakeups = waiters.wait(for: .writable, until: start, now: start, resume: resumed(4))
        #expect(resumed.taken(wakeups) == [4: false])
    }

    @Test func `no request waits unless the log is being read`() {
        var waiters = Waiters()
        let deadline = start + .seconds(1)
        #expect(
            resumed.taken(waiters.wait(for: .writable, until: deadline, now: start, resume: resumed(1)))
                == [1: false]
        )
        waiters.started()
        _ = waiters.wait(for: .writable, until: deadline, now: start, resume: resumed(2))
        #expect(resumed.taken(waiters.stopped()) == [2: false])
        #expect(
            resumed.taken(waiters.wait(for: .writable, until: deadline, now: start, resume: resumed(3)))
                == [3: false]
        )
    }
}
