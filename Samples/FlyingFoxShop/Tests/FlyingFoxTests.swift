// SPDX-License-Identifier: Apache-2.0

import FlyingFox
import FlyingSocks
import Foundation
import HTTPTypes
import SessionsTesting
import Testing

@testable import FlyingFoxSessions
@testable import Shop

@Suite struct `Sessions on FlyingFox` {
    @Test(arguments: AdapterScenario.all)
    func `does what every adapter does`(scenario: AdapterScenario) async throws {
        let site = try AdapterSite()
        let server = HTTPServer(address: try .inet(ip4: "127.0.0.1", port: 0))
        await server.appendRoute("*") { request in
            // The client as a proxy that is trusted would tell it, and the application's own errors: as in an
            // application, by the general form of the wrapper.
            var request = request
            let proxied = request.headers[HTTPHeader(AdapterSite.client.rawName)]
            request.remoteAddress = proxied.map { .ip4($0, port: 0) } ?? request.remoteAddress
            let body = Array(try await request.bodyData)
            return try await site.manager.respond(
                to: request,
                toError: { error in
                    error is AdapterSite.Refusal ? FlyingFox.HTTPResponse(statusCode: .badRequest) : nil
                }
            ) { context in
                let (head, text) = try await AdapterSite.answer(
                    HTTPTypes.HTTPRequest(
                        method: HTTPTypes.HTTPRequest.Method(request.method.rawValue) ?? .get,
                        scheme: nil,
                        authority: nil,
                        path: request.target.rawValue
                    ),
                    body,
                    context
                )
                return FlyingFox.HTTPResponse(head, .httpBody(HTTPBodySequence(data: Data(text.utf8))))
            }
        }
        try await running(server) { transport in try await scenario.run(site, over: transport) }
    }

    @Test func `several cookies go out in a line each`() {
        var head = HTTPTypes.HTTPResponse(status: .ok)
        head.headerFields.append(HTTPField(name: .setCookie, value: "a=1, 2; Path=/"))
        head.headerFields.append(HTTPField(name: .setCookie, value: "b=3; Path=/"))
        let response = FlyingFox.HTTPResponse(head, .httpBody(HTTPBodySequence(data: Data())))
        #expect(response.headers.values(for: .setCookie) == ["a=1, 2; Path=/", "b=3; Path=/"])
    }

    @Test func `the shop keeps its cart, over HTTP and over a WebSocket`() async throws {
        let manager = try SessionManager(store: MemorySessionStore())
        let server = HTTPServer(address: try .inet(ip4: "127.0.0.1", port: 0))
        await addRoutes(to: server, manager)
        try await running(server) { transport in
            let visitor = Visitor(transport: transport)
            #expect(try await visitor.send(.get, "/live").0.status == .unauthorized)
            for item in ["tea", "cake"] {
                let (response, body) = try await visitor.send(.post, "/cart/\(item)")
                #expect(response.status == .ok && body == Array("\(item) is in the cart\n".utf8))
            }
            #expect(try await visitor.send(.get, "/cart").1 == Array("tea, cake\n".utf8))
            let field = try #require(
                visitor.cookies.cookieField(for: .init(host: "localhost", path: "/", isSecure: true))
            )
            var handshake = HTTPTypes.HTTPRequest(
                method: .get,
                scheme: "https",
                authority: "localhost",
                path: "/live",
                headerFields: [
                    .upgrade: "websocket", .connection: "upgrade", .cookie: field,
                    .init("Sec-WebSocket-Version")!: "13",
                    .init("Sec-WebSocket-Key")!: "dGhlIHNhbXBsZSBub25jZQ==",
                    .init("Sec-Fetch-Site")!: "cross-site", .origin: "https://evil.example",
                ]
            )
            #expect(try await transport(handshake, []).0.status == .forbidden)
            handshake.headerFields[.init("Sec-Fetch-Site")!] = "same-origin"
            #expect(try await transport(handshake, []).0.status == .switchingProtocols)
            let credential = try #require(manager.credential(of: handshake))
            let socket = CartSocket(sessions: manager, credential: credential)
            let (messages, message) = AsyncStream.makeStream(of: WSMessage.self)
            var answers = try await socket.makeMessages(for: messages).makeAsyncIterator()
            message.yield(.text("jam"))
            guard case .text("tea, cake, jam") = await answers.next() else {
                return #expect(Bool(false), "no answer")
            }
            #expect(try await visitor.send(.get, "/cart").1 == Array("tea, cake, jam\n".utf8))
            try await manager.withSession(credential) { try $0.signOut() }
            message.yield(.text("late"))
            #expect(await answers.next() == nil)
        }
    }

    /// Runs a server, and gives the steps a way to send it requests over a socket each.
    private func running(
        _ server: HTTPServer,
        _ steps: (@escaping Visitor.Transport) async throws -> Void
    ) async throws {
        let task = Task { try await server.run() }
        try await server.waitUntilListening()
        guard case .ip4(_, let port)? = await server.listeningAddress else {
            return #expect(Bool(false), "no port")
        }
        do {
            try await steps { request, body in try await Self.send(request, body, port) }
        } catch {
            await server.stop()
            task.cancel()
            throw error
        }
        await server.stop()
        task.cancel()
    }

    private static func send(_ request: HTTPTypes.HTTPRequest, _ body: [UInt8], _ port: UInt16) async throws
        -> (HTTPTypes.HTTPResponse, [UInt8])
    {
        var headers = HTTPHeaders()
        headers[.host] = request.authority
        for field in request.headerFields {
            headers.addValue(field.value, for: HTTPHeader(field.name.rawName))
        }
        let sent = FlyingFox.HTTPRequest(
            method: HTTPMethod(request.method.rawValue),
            version: .http11,
            path: request.path ?? "/",
            query: [],
            headers: headers,
            body: HTTPBodySequence(data: Data(body))
        )
        var client = HTTPClient()
        let response = try await client.sendHTTPRequest(sent, to: .inet(ip4: "127.0.0.1", port: port))
        var head = HTTPTypes.HTTPResponse(status: .init(code: response.statusCode.code))
        for (header, value) in response.headers {
            guard let name = HTTPField.Name(header.rawValue) else { continue }
            head.headerFields.append(HTTPField(name: name, value: value))
        }
        return (head, Array(try await response.bodyData))
    }
}
