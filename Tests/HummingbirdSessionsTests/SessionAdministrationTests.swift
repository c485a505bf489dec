// SPDX-License-Identifier: Apache-2.0

import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdSessions
import HummingbirdTesting
import SessionsTesting
import TestSupport
import Testing

extension SessionKey where Value == String { fileprivate static var device: Self { .init("device") } }

/// The JSON routes for administrators.
@Suite struct `Session administration` {
    private func application(_ store: any SessionStore) throws -> some ApplicationProtocol {
        let manager = try SessionManager(store: store)
        let router = Router(context: BasicSessionsRequestContext.self)
        router.add(middleware: CrossOriginProtectionMiddleware())
        router.add(middleware: SessionsMiddleware(manager))
        router.post("/login") { request, context in
            let session = try await context.session()
            try session.set(.device, "phone <1>")
            try session.signIn(as: try request.uri.queryParameters.require("user"), keeping: .device)
            return ""
        }
        router.get("/me") { _, context in try await context.session().principal ?? "-" }
        router.group("admin").addSessionAdministration(of: manager, showing: ["device"]) { _, context in
            try await context.session().principal == "root"
        }
        return Application(router: router)
    }

    /// A client with the cookie that it was given.
    private struct Visitor {
        let client: any TestClientProtocol
        var cookie: String?

        init(_ client: any TestClientProtocol, as user: String) async throws {
            self.client = client
            let response = try await client.execute(uri: "/login?user=\(user)", method: .post)
            cookie = response.headers[.setCookie].map { String($0.prefix { $0 != ";" }) }
            #expect(response.status == .ok && cookie != nil)
        }

        func send(_ method: HTTPRequest.Method, _ uri: String, _ headers: HTTPFields = [:]) async throws
            -> (status: HTTPResponse.Status, json: JSON, text: String, response: TestResponse)
        {
            var headers = headers
            if let cookie { headers[.cookie] = cookie }
            let response = try await client.execute(uri: uri, method: method, headers: headers)
            let text = String(buffer: response.body)
            let json = (try? JSONDecoder().decode(JSON.self, from: Data(text.utf8))) ?? .null
            return (response.status, json, text, response)
        }
    }

    @Test func `an administrator lists, shows and ends the sessions of a user`() async throws {
        try await application(try MemorySessionStore()).test(.router) { client in
            let root = try await Visitor(client, as: "root")
            let (phone, laptop) = (
                try await Visitor(client, as: "gr%C3%B6%C3%9Fe"),
                try await Visitor(client, as: "gr%C3%B6%C3%9Fe")
            )
            let bob = try await Visitor(client, as: "bob")
            let user = "user=gr%C3%B6%C3%9Fe"
            let list = try await root.send(.get, "/admin/sessions?\(user)")
            #expect(list.status == .ok && list.json["user"].string == "größe")
            #expect(list.response.headers[.cacheControl]?.contains("no-store") == true)
            let sessions = list.json["sessions"].array
            try #require(sessions.count == 2)
            for session in sessions {
                #expect(session["authenticated"].string?.hasSuffix("Z") == true)
                #expect(session["attributes"].array.map { $0["value"].string } == [#""phone <1>""#])
            }
            let ids = sessions.compactMap { $0["id"].string }
            let shown = try await root.send(.get, "/admin/sessions/\(ids[0])?\(user)")
            #expect(shown.status == .ok && shown.json["id"].string == ids[0])
            #expect(shown.json["attributes"].array.map { $0["name"].string } == ["device"])
            for secret in [phone.cookie, laptop.cookie] {
                let value = try #require(secret?.split(separator: ".").last)
                #expect(!list.text.contains(value) && !shown.text.contains(value))
            }
            #expect(
                try await root.send(.get, "/admin/sessions?\(user)&limit=1").json["sessions"].array.count == 1
            )

            #expect(try await root.send(.delete, "/admin/sessions/\(ids[0])?user=bob").status == .notFound)
            #expect(
                try await root.send(.delete, "/admin/sessions/\(ids[0])?\(user)").json["ended"].int == 1
            )
            #expect(try await root.send(.delete, "/admin/sessions/\(ids[0])?\(user)").status == .notFound)
            #expect(try await root.send(.get, "/admin/sessions/\(ids[0])?\(user)").status == .notFound)
            _ = try await Visitor(client, as: "gr%C3%B6%C3%9Fe")
            let rest = try await root.send(.delete, "/admin/sessions?\(user)&except=\(ids[1])")
            #expect(rest.json["ended"].int == 1)
            let alive = [try await phone.send(.get, "/me").text, try await laptop.send(.get, "/me").text]
            #expect(alive.sorted() == ["-", "größe"])
            #expect(try await bob.send(.get, "/me").text == "bob")
        }
    }

    @Test func `others are refused, and a request that names no user ends nothing`() async throws {
        try await application(try MemorySessionStore()).test(.router) { client in
            let (root, ann) = (try await Visitor(client, as: "root"), try await Visitor(client, as: "ann"))
            for (method, path) in [
                (HTTPRequest.Method.get, "sessions?user=root"), (.delete, "sessions?user=root"),
                (.get, "sessions/AAAAAAAAAAAAAAAAAAAAAA?user=root"),
                (.delete, "sessions/AAAAAAAAAAAAAAAAAAAAAA?user=root"),
            ] {
                #expect(
                    try await ann.send(method, "/admin/\(path)").status == .forbidden,
                    "\(method) \(path)"
                )
                let attack: HTTPFields = [HTTPField.Name("Sec-Fetch-Site")!: "cross-site"]
                let status = try await root.send(method, "/admin/\(path)", attack).status
                #expect(method == .get || status == .forbidden)
            }
            for (method, path) in [
                (HTTPRequest.Method.get, "sessions"), (.delete, "sessions"), (.delete, "sessions?user="),
                (.delete, "sessions?user=ann&except=x"), (.get, "sessions/x?user=ann"),
                (.delete, "sessions/AAAAAAAAAAAAAAAAAAAAAA"), (.get, "sessions?user=ann&limit=0"),
            ] {
                #expect(
                    try await root.send(method, "/admin/\(path)").status == .badRequest,
                    "\(method) \(path)"
                )
            }
            #expect(try await ann.send(.get, "/me").text == "ann")
            #expect(try await root.send(.get, "/me").text == "root")
        }
    }

    @Test func `a store without a list is a 501, one that is down a 503`() async throws {
        let memory = try MemorySessionStore()
        let faulty = FaultyStore(memory)
        try await application(faulty).test(.router) { client in
            let root = try await Visitor(client, as: "root")
            faulty.fail([.list])
            #expect(try await root.send(.get, "/admin/sessions?user=ann").status == .serviceUnavailable)
        }
        let sealed = try SealedSessionStore(
            SealKeyRing([SealKey(id: "a", bytes: Array(1...32))]),
            application: "shop"
        )
        try await application(sealed).test(.router) { client in
            let root = try await Visitor(client, as: "root")
            #expect(try await root.send(.get, "/admin/sessions?user=ann").status == .notImplemented)
        }
    }
}
