// SPDX-License-Identifier: Apache-2.0

import Sessions
import SessionsTesting

/// Runs the contract against a store; `MemorySessionStore` stands for your own.
@main struct StoreContract {
    static func main() async throws {
        for rule in SessionStoreContract.rules {
            let clock = ManualClock()
            let store = try MemorySessionStore(now: { clock.now })
            try await rule.check(SessionStoreHarness(store: store) { clock.advance(by: $0) })
        }
        print("\(SessionStoreContract.rules.count) rules hold")
    }
}
