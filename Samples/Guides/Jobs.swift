// SPDX-License-Identifier: Apache-2.0

import Hummingbird
import HummingbirdSessions

// The code of the guide "WebSockets and jobs".

extension SessionKey where Value == [String] {
    static var notes: Self { .init("notes") }
}

/// What a queue keeps of a session: no secret.
struct ExportJob: Codable, Sendable {
    let session: String
    let user: String
}

func addExports(
    to router: Router<BasicSessionsRequestContext>,
    enqueue: @escaping @Sendable (ExportJob) async throws -> Void
) {
    router.post("/exports") { _, context in
        let session = try await context.session()
        guard let user = session.principal, let id = session.id else { throw HTTPError(.unauthorized) }
        try await enqueue(ExportJob(session: "\(id)", user: user))
        return Response(status: .accepted)
    }
}

func finish(_ job: ExportJob, in sessions: SessionManager) async throws {
    guard let id = SessionID(job.session) else { return }
    do {
        try await sessions.withSession(id, of: job.user) { try $0.flash("Your export is ready.") }
    } catch let error as SessionError where error.code == .noSession {
        // The user has signed out meanwhile.
    }
}

func orderWasPaid(by user: String, in sessions: SessionManager) async throws {
    for device in try await sessions.list(for: user) {
        do {
            try await sessions.withSession(device.id, of: user) { try $0.flash("Your order is paid.") }
        } catch let error as SessionError where error.code == .noSession {
            // This one ended since it was listed.
        }
    }
}

/// What a socket keeps of its handshake.
struct SocketUser: Sendable {
    let session: Session
    let id: SessionID
    let name: String

    /// Nil for a visitor who is not signed in: refuse the handshake.
    init?(_ session: Session) {
        guard let id = session.id, let name = session.principal else { return nil }
        (self.session, self.id, self.name) = (session, id, name)
    }
}

func serve(
    _ messages: some AsyncSequence<String, any Error> & Sendable,
    of user: SocketUser,
    in sessions: SessionManager
) async throws {
    for try await message in messages {
        // Throws `.noSession` once the user has signed out or was revoked: the socket closes.
        try await sessions.withSession(user.id, of: user.name) { session in
            try session.update(.notes, default: []) { $0.append(message) }
        }
        try await user.session.keepAlive()
    }
}

func addProgress(to router: Router<BasicSessionsRequestContext>) {
    router.get("/progress") { _, context in
        let session = try await context.session()
        let sessions = try context.sessionManager
        let body = ResponseBody { writer in
            try await writer.write(ByteBuffer(string: "data: half\n\n"))
            // The response head is out: `session` is closed, and `amend` loads it again.
            try await sessions.amend(session) { try $0.flash("The import is done.") }
            try await writer.write(ByteBuffer(string: "data: done\n\n"))
            try await writer.finish(nil)
        }
        return Response(status: .ok, headers: [.contentType: "text/event-stream"], body: body)
    }
}
