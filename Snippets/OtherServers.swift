// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Sessions

extension SessionKey where Value == Int {
    static var visits: Self { .init("visits") }
}

/// A handler of any server that knows swift-http-types.
func answer(_ request: HTTPRequest, _ sessions: SessionManager) async throws -> HTTPResponse {
    try await sessions.respond(to: request) { context in
        let session = try await context.session()
        try session.increment(.visits)
        return HTTPResponse(status: .noContent)
    }
}

/// The same with a body, here of text.
func answerWithText(
    _ request: HTTPRequest,
    _ sessions: SessionManager
) async throws -> (HTTPResponse, String) {
    try await sessions.respond(to: request, errorBody: { $0 }) { context in
        let visits = try await context.session()[.visits] ?? 0
        return (HTTPResponse(status: .ok), "visits: \(visits)")
    }
}

struct Message: Sendable {
    let text: String
}

/// Serves a connection whose handshake this server reads itself.
func accept(
    _ handshake: HTTPRequest,
    _ messages: some AsyncSequence<Message, any Error>,
    _ sessions: SessionManager
) async throws {
    if let refusal = CrossOriginProtection().refusal(of: handshake) { throw refusal }
    guard let credential = sessions.credential(of: handshake) else {
        throw SessionError(.noSession, "The handshake has no session.")
    }
    for try await _ in messages {
        try await sessions.withSession(credential) { try $0.increment(.visits) }
    }
}
