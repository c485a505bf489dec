// SPDX-License-Identifier: Apache-2.0

import Synchronization
import TestSupport
import Testing

@Suite struct `The history checker` {
    private func read(_ list: [String], _ counter: Int = 0, version: Int = 1) -> ClientHistory.Event {
        .read(list: list, counter: counter, version: version, from: "a")
    }

    private func violations(_ clients: [[ClientHistory.Event]], _ final: [String], counter: Int = 0)
        -> [String]
    {
        ClientHistory(clients: clients).violations(final: (final, counter))
    }

    @Test func `finds nothing in a history that is in order`() {
        let clients: [[ClientHistory.Event]] = [
            [.appended("x"), read(["x"]), .counted, read(["x", "y"], 1, version: 3)],
            [.appended("y"), read(["x", "y"]), .attempted("z"), .attemptedCount],
        ]
        #expect(violations(clients, ["x", "y"], counter: 1) == [])
        #expect(violations(clients, ["x", "y", "z"], counter: 2) == [])
    }

    @Test func `finds each kind of violation`() {
        #expect(violations([[.appended("x"), read([])]], ["x"]).count == 1, "an own write is not seen")
        #expect(
            violations([[.counted, read([], 0)]], [], counter: 1).count == 1,
            "an own increment is not seen"
        )
        #expect(
            violations([[read(["x"]), read([])], [.appended("x")]], ["x"]).count == 1,
            "less than before"
        )
        #expect(
            violations([[read([], 2), read([], 1)], [.counted, .counted]], [], counter: 2).count == 1,
            "the counter fell"
        )
        #expect(
            violations([[read([], version: 2), read([], version: 1)]], []).count == 1,
            "the version fell"
        )
        #expect(violations([[.appended("x")]], []).count == 1, "a lost append")
        #expect(violations([[.counted, .counted]], [], counter: 1).count == 1, "a lost increment")
        #expect(violations([[.counted]], [], counter: 2).count == 1, "an increment too many")
        #expect(violations([[.appended("x")]], ["x", "x"]).count == 1, "stored twice")
        #expect(violations([[]], ["x"]).count == 1, "from nowhere")
        let orders: [[ClientHistory.Event]] = [
            [.appended("x"), read(["x"])], [.appended("y"), read(["y"])],
        ]
        #expect(violations(orders, ["x", "y"]).count == 1, "two orders")
    }
}

/// Promise 4: read-your-writes and monotonic reads for each client on every server, checked from recorded
/// histories.
extension SharedFleet {
    @Suite struct `Session guarantees` {
        let fleet = Fleet.shared

        @Test(arguments: [Store.redis, .cached, .replicated], [false, true])
        func `hold for 20 clients that hop between the instances while all of them write`(
            store: Store,
            isHeld: Bool
        ) async throws {
            let servers = fleet.servers(store)
            // Five sessions with four tabs each, all of them writing.
            let sessions = try await concurrently(5) { index in
                let browser = fleet.browser()
                try await browser.post("/login", ["user": fleet.user()], on: servers[index % 3])
                return browser
            }
            let isOver = Mutex(false)
            async let holding: Void = hold(servers[1], until: isOver, isHeld: isHeld && store.hasLocalCopies)
            let clients = try await concurrently(20, width: 20) { index in
                (
                    session: index % 5,
                    events: try await live(sessions[index % 5].clone(), name: "\(index)", on: servers)
                )
            }
            isOver.withLock { $0 = true }
            try await holding
            for (number, session) in sessions.enumerated() {
                let history = ClientHistory(clients: clients.filter { $0.session == number }.map(\.events))
                for server in servers {
                    // The original tab has seen nothing of all this, so a copy that is behind may serve it
                    // for a moment.
                    var violations = ["no answer"]
                    _ = await poll(seconds: 5) {
                        guard let last = try? await read(session, on: server) else { return false }
                        violations = history.violations(final: (last.list, last.counter))
                        return violations.isEmpty
                    }
                    #expect(violations == [], "session \(number) on \(server.instance)")
                }
            }
        }

        /// One client: 60 steps, each on another instance.
        private func live(_ browser: Browser, name: String, on servers: [FixtureApp]) async throws
            -> [ClientHistory.Event]
        {
            var random = SystemRandomNumberGenerator()
            var events: [ClientHistory.Event] = []
            for step in 0..<60 {
                let server = servers.randomElement(using: &random) ?? servers[0]
                switch Int.random(in: 0..<4, using: &random) {
                case 0:
                    let value = "\(name)-\(step)"
                    let status = try await browser.post("/append", ["k": "list", "v": value], on: server)
                        .status
                    events.append(status == 200 ? .appended(value) : .attempted(value))
                case 1:
                    let status = try await browser.post("/increment", ["k": "n"], on: server).status
                    events.append(status == 200 ? .counted : .attemptedCount)
                default:
                    let seen = try await read(browser, on: server)
                    events.append(
                        .read(
                            list: seen.list,
                            counter: seen.counter,
                            version: seen.version,
                            from: server.instance
                        )
                    )
                }
            }
            return events
        }

        private func read(_ browser: Browser, on server: FixtureApp) async throws -> (
            list: [String], counter: Int, version: Int
        ) {
            let reply = try await browser.get("/whoami", on: server)
            try #require(
                reply.status == 200 && reply.json["principal"].string != nil,
                "\(server.instance): \(reply.status) \(reply.body)"
            )
            let values = reply.json["values"]
            return (
                values["list"].array.compactMap(\.string), values["n"].int ?? 0,
                reply.json["version"].int ?? -1
            )
        }

        /// Keeps one instance from hearing of changes, again and again for a while, until the clients are
        /// done.
        private func hold(_ server: FixtureApp, until isOver: borrowing Mutex<Bool>, isHeld: Bool)
            async throws
        {
            while isHeld, !isOver.withLock({ $0 }) {
                let pause = Int.random(in: 50...700)
                #expect(try await Browser().post("/hold", ["ms": "\(pause)"], on: server).status == 200)
            }
        }
    }
}
