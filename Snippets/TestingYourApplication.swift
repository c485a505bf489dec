// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Sessions
import SessionsTesting

/// Sends one request to the application under test, for example through its framework's test client.
func send(_ request: HTTPRequest, _ body: [UInt8]) async throws -> (HTTPResponse, [UInt8]) {
    (HTTPResponse(status: .ok), [])
}

@main struct ApplicationTest {
    static func main() async throws {
        let clock = ManualClock()
        let store = FaultyStore(try MemorySessionStore(now: { clock.now }))
        let sessions = try SessionManager(store: store)

        let visitor = Visitor(host: "shop.example") { try await send($0, $1) }
        let (response, _) = try await visitor.send(.post, "/cart/tea")

        clock.advance(by: .seconds(31 * 60))  // the session has expired
        store.fail([.load, .commit])  // the store is unreachable
        print(response.status, store.counts[.commit] ?? 0, sessions.policy.idleTimeout)
    }
}
