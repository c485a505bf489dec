// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Hummingbird
import HummingbirdSessions
import HummingbirdTesting
import Logging
import SessionsTesting
import Synchronization
import Testing

/// Lines about a request can be found by the request's ID.
@Suite struct `Metadata of log lines` {
    private let lines = Lines()
    private let store: MemorySessionStore

    init() throws { store = try MemorySessionStore() }

    private func application() throws -> some ApplicationProtocol {
        var logger = lines.logger
        logger[metadataKey: "service"] = "shop"
        let router = Router(context: BasicSessionsRequestContext.self)
        router.add(middleware: SessionsMiddleware(try SessionManager(store: store, logger: logger)))
        @Sendable func id(_ context: BasicSessionsRequestContext) -> String {
            context.logger[metadataKey: "hb.request.id"].map { "\($0)" } ?? ""
        }
        router.post("/in") { _, context in
            try await context.session().signIn(as: "ann")
            return id(context)
        }
        router.post("/out-everywhere") { _, context in
            _ = try await context.session()
            try await context.sessionManager.revokeAll(of: "ann")
            return id(context)
        }
        return Application(router: router)
    }

    @Test func `events of a commit and of the manager carry the request's ID`() async throws {
        try await application().test(.router) { client in
            let visitor = Visitor(transport: client.transport)
            let first = String(decoding: try await visitor.send(.post, "/in").1, as: UTF8.self)
            let second = String(decoding: try await visitor.send(.post, "/out-everywhere").1, as: UTF8.self)
            #expect(!first.isEmpty && !second.isEmpty && first != second)
            let ids = lines.all.map { [$0["event"], $0["hb.request.id"]] }
            #expect(ids == [["signed-in", first], ["revoked", second]])
            #expect(lines.all.allSatisfy { $0["service"] == "shop" })
        }
    }

    @Test func `what the event says stands over the request's metadata`() async throws {
        let manager = try SessionManager(store: store, logger: lines.logger)
        var logger = Logger(label: "request") { _ in Lines() }
        logger[metadataKey: "event"] = "forged"
        logger[metadataKey: "route"] = "/cart"
        let head = HTTPRequest(
            method: .get,
            scheme: "https",
            authority: "localhost",
            path: "/",
            headerFields: [.cookie: "__Host-session=abc"]
        )
        let request = RequestSession(head, manager: manager, logger: logger)
        _ = try await request.session()
        #expect(lines.all.map { $0["event"] } == ["malformed"] && lines.all.map { $0["route"] } == ["/cart"])
        // The same for a server without an adapter, also for what never reaches the session.
        var attack = head
        (attack.method, attack.headerFields[HTTPField.Name("Sec-Fetch-Site")!]) = (.post, "cross-site")
        for head in [head, attack] {
            _ = try await manager.respond(to: head, logger: logger) { context in
                _ = try await context.session()
                return HTTPResponse(status: .ok)
            }
        }
        #expect(lines.all.map { $0["route"] } == ["/cart", "/cart", "/cart"])
    }
}

/// Keeps the metadata of each line.
private struct Lines: LogHandler {
    private final class Storage: Sendable { let lines = Mutex<[[String: String]]>([]) }

    private let storage = Storage()
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.info

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    var all: [[String: String]] { storage.lines.withLock { $0 } }
    var logger: Logger { Logger(label: "sessions") { _ in self } }

    func log(event: LogEvent) {
        let all = metadata.merging(event.metadata ?? [:]) { $1 }
        storage.lines.withLock { $0.append(all.mapValues { "\($0)" }) }
    }
}
