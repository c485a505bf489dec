// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Hummingbird
import HummingbirdSessions
import HummingbirdTesting
import SessionsTesting
import Testing

extension SessionKey where Value == [String] { fileprivate static var cart: Self { .init("cart") } }
extension SessionKey where Value == String { fileprivate static var language: Self { .init("language") } }
extension SessionKey where Value == Int { fileprivate static var visits: Self { .init("visits") } }

/// What handlers do with typed keys, and what clients see of conflicts.
@Suite struct `Handlers over HTTP` {
    private let memory: MemorySessionStore
    private let store: FaultyStore

    init() throws {
        memory = try MemorySessionStore()
        store = FaultyStore(memory)
    }

    private func application() throws -> some ApplicationProtocol {
        let router = Router(context: BasicSessionsRequestContext.self)
        router.add(middleware: SessionsMiddleware(try SessionManager(store: store)))
        router.post("/fill") { _, context in
            let session = try await context.session()
            try session.set(.cart, ["tea"])
            try session.set(.language, "de")
            try session.set(.visits, 7)
            return ""
        }
        router.post("/append") { _, context in
            try await context.session().update(.cart, default: []) { $0.append("cake") }
            return ""
        }
        router.post("/login") { _, context in
            try await context.session().signIn(as: "ann", keeping: .cart, .language)
            return ""
        }
        router.post("/login/:keep") { _, context in
            let session = try await context.session()
            let names = try context.parameters.require("keep").split(separator: ",")
            let keys = try names.map { try SessionKey<String>(validating: String($0)) }
            try session.signIn(as: "ann", keeping: keys)
            return ""
        }
        router.get("/names") { _, context in
            let session = try await context.session()
            return "\(session.principal ?? "nobody") \(session.names.joined(separator: ","))"
        }
        router.get("/value/:key") { _, context in
            let key = try SessionKey<String>(validating: try context.parameters.require("key"))
            return try await context.session()[key] ?? "none"
        }
        return Application(router: router)
    }

    /// Sends a request and returns its status, its body and the cookie from then on.
    private func send(
        _ client: any TestClientProtocol,
        _ method: HTTPRequest.Method,
        _ uri: String,
        _ cookie: String? = nil
    ) async throws -> (status: HTTPResponse.Status, body: String, cookie: String?) {
        let response = try await client.execute(
            uri: uri,
            method: method,
            headers: cookie.map { [.cookie: $0] } ?? [:]
        )
        let sent = response.headers[.setCookie].map { String($0.prefix { $0 != ";" }) }
        return (response.status, String(buffer: response.body), sent ?? cookie)
    }

    // MARK: Keys

    @Test(arguments: [
        ("/login", "cart,language"), ("/login/cart,language", "cart,language"), ("/login/visits", "visits"),
        ("/login/missing", ""),
    ])
    func `a sign-in keeps attributes of several types, or of run-time names`(
        path: String,
        kept: String
    ) async throws {
        try await application().test(.router) { client in
            let filled = try await send(client, .post, "/fill")
            #expect(
                try await send(client, .get, "/names", filled.cookie).body == "nobody cart,language,visits"
            )
            let user = try await send(client, .post, path, filled.cookie)
            #expect(user.cookie != filled.cookie)
            #expect(try await send(client, .get, "/names", user.cookie).body == "ann \(kept)")
        }
    }

    @Test func `a name that no key may have is a 400, whatever the client sends`() async throws {
        try await application().test(.live) { client in
            let filled = try await send(client, .post, "/fill")
            #expect(try await send(client, .get, "/value/language", filled.cookie).body == "de")
            for name in ["@principal", "@", String(repeating: "x", count: 129)] {
                let answer = try await send(client, .get, "/value/\(name)", filled.cookie)
                #expect(answer.status == .badRequest && answer.body.contains(#""error":"invalid-value""#))
            }
            let login = try await send(client, .post, "/login/cart,@flash", filled.cookie)
            #expect(login.status == .badRequest && login.cookie == filled.cookie)
            #expect(
                try await send(client, .get, "/names", filled.cookie).body == "nobody cart,language,visits"
            )
        }
    }

    // MARK: Conflicts

    @Test func `a conflict that retries do not solve is a 409, and nothing is stored`() async throws {
        try await application().test(.router) { client in
            let filled = try await send(client, .post, "/fill")
            let credential = SessionCredential(
                String(try #require(filled.cookie).drop { $0 != "=" }.dropFirst())
            )
            interfere(credential)
            let response = try await client.execute(
                uri: "/append",
                method: .post,
                headers: [.cookie: try #require(filled.cookie)]
            )
            #expect(response.status == .conflict)
            #expect(String(buffer: response.body).contains(#""error":"conflict""#))
            #expect(response.headers[.setCookie] == nil)
            #expect(response.headers[.cacheControl]?.contains("no-store") == true)
            #expect(response.headers[.retryAfter] == nil)
            #expect(store.counts[.commit] == 64)
            store.before(.commit) {}
            guard case .found(let record) = try await memory.load(credential) else {
                return #expect(Bool(false), "gone")
            }
            #expect(record.attributes["cart"] == Array(#"["tea"]"#.utf8))
            #expect(try await send(client, .post, "/append", filled.cookie).status == .ok)
        }
    }

    /// Another request commits right before each commit, from now on.
    private func interfere(_ credential: SessionCredential) {
        store.before(.commit) { [self] in
            if case .found(let record) = try? await memory.load(credential) {
                let change = SessionChange(operations: ["other": .set([0x31])], policy: SessionPolicy())
                _ = try? await memory.commit(change, to: record)
            }
            interfere(credential)
        }
    }
}
