// SPDX-License-Identifier: Apache-2.0

import FlyingFox
import FlyingFoxSessions
import Foundation

extension SessionKey where Value == [String] {
    static var cart: Self { .init("cart") }
}

/// The routes of the sample Hello, and a cart over a WebSocket.
func addRoutes(to server: HTTPServer, _ sessions: SessionManager) async {
    await server.appendRoute("POST /cart/:item") { request in
        try await sessions.respond(to: request) { context in
            let item = request.routeParameters["item"] ?? ""
            let session = try await context.session()  // one round trip, and none without a cookie
            try session.update(.cart, default: []) { $0.append(item) }  // no parallel update is lost
            return text("\(item) is in the cart\n")
        }
    }

    await server.appendRoute("GET /cart") { request in
        try await sessions.respond(to: request) { context in
            let session = try await context.session()
            return text((session[.cart] ?? []).joined(separator: ", ") + "\n")
        }
    }

    await server.appendRoute("GET /live") { request in
        try await sessions.respond(to: request) { context in
            guard let credential = try await context.session().credential else {
                return HTTPResponse(statusCode: .unauthorized)
            }
            let socket = CartSocket(sessions: sessions, credential: credential)
            return try await WebSocketHTTPHandler.webSocket(socket).handleRequest(request)
        }
    }
}

/// Puts each message into the cart, and answers with what is in it.
///
/// The credential is that of the handshake. For a signed-in user keep `session.id` and `session.principal` instead, and
/// call `withSession(_:of:_:)`.
struct CartSocket: WSMessageHandler {
    let sessions: SessionManager
    let credential: SessionCredential

    func makeMessages(for client: AsyncStream<WSMessage>) async throws -> AsyncStream<WSMessage> {
        let (answers, answer) = AsyncStream.makeStream(of: WSMessage.self)
        let task = Task {
            defer { answer.finish() }
            for await case .text(let item) in client {
                // Loads the session afresh: it throws once the visitor has signed out.
                let cart = try await sessions.withSession(credential) { session in
                    try await session.updateNow(.cart, default: []) {
                        $0.append(item)
                        return $0
                    }
                }
                answer.yield(.text(cart.joined(separator: ", ")))
            }
        }
        answer.onTermination = { _ in task.cancel() }
        return answers
    }
}

private func text(_ body: String) -> HTTPResponse {
    HTTPResponse(statusCode: .ok, headers: [.contentType: "text/plain; charset=utf-8"], body: Data(body.utf8))
}
