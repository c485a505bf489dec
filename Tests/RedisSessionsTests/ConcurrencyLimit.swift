// SPDX-License-Identifier: Apache-2.0

import Synchronization
import Testing

/// Lets a few test cases of all suites that have it run at a time.
///
/// Hundreds at once, each with connections of its own, keep two cores busy for longer than clients wait for Redis.
/// A link in HiredisTests leads to this file.
struct ConcurrencyLimit: SuiteTrait, TestTrait, TestScoping {
    let isRecursive = true
    private static let gate = Gate(16)

    func scopeProvider(for test: Test, testCase: Test.Case?) -> Self? { testCase == nil ? nil : self }

    func provideScope(
        for test: Test,
        testCase: Test.Case?,
        performing function: @Sendable () async throws -> Void
    ) async throws {
        await Self.gate.enter()
        defer { Self.gate.leave() }
        try await function()
    }

    private final class Gate: Sendable {
        private let state: Mutex<(free: Int, waiting: [CheckedContinuation<Void, Never>])>

        init(_ width: Int) { state = Mutex((width, [])) }

        func enter() async {
            await withCheckedContinuation { continuation in
                let isFree = state.withLock { state in
                    guard state.free > 0 else {
                        state.waiting.append(continuation)
                        return false
                    }
                    state.free -= 1
                    return true
                }
                if isFree { continuation.resume() }
            }
        }

        func leave() {
            let next = state.withLock { state -> CheckedContinuation<Void, Never>? in
                guard state.waiting.isEmpty else { return state.waiting.removeFirst() }
                state.free += 1
                return nil
            }
            next?.resume()
        }
    }
}

extension Trait where Self == ConcurrencyLimit {
    /// A few test cases at a time.
    ///
    /// A time limit counts the wait for a turn as well, so limits are long: they end tests that hang, and say nothing
    /// of speed.
    static var limited: Self { ConcurrencyLimit() }
}
