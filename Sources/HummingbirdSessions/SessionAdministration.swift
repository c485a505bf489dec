// SPDX-License-Identifier: Apache-2.0

public import Hummingbird
public import Sessions

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

extension RouterMethods {
    /// Adds JSON routes with which an application for administrators looks at the sessions of users, and ends them.
    ///
    /// | route | answer |
    /// | --- | --- |
    /// | `GET sessions?user=NAME` | `{"user", "sessions": […]}`, the one that was used last first; at most 100, or `&limit=` up to 1000 |
    /// | `GET sessions/ID?user=NAME` | that session with all attributes; 404 if the user has no such live session |
    /// | `DELETE sessions/ID?user=NAME` | `{"ended": 1}`; 404 if the user has no such live session |
    /// | `DELETE sessions?user=NAME` | `{"ended": COUNT}`: all sessions of the user; `&except=ID` spares one |
    ///
    /// A session is printed as by `sessionctl --json`: `id`, `created`, `lastUsed` and `authenticated` (RFC 3339), and its
    /// attributes as `name`, `bytes`, `version` of the type and `value`, the JSON as text; never a secret. Costs are those of
    /// `SessionManager.list`, `revoke` and `revokeAll`, and events are as theirs. A request without a user or with an ID that is
    /// none answers 400, an operation that the store does not have 501.
    ///
    /// Put `CrossOriginProtectionMiddleware` before it: the routes that end sessions are `DELETE` requests.
    ///
    /// ```swift
    /// router.group("admin").addSessionAdministration(of: manager) { request, context in
    ///     try await context.session().principal == "root"
    /// }
    /// ```
    ///
    /// - Parameters:
    ///   - manager: the manager of the sessions, which may be others than those of the administrators.
    ///   - names: the attributes that a list shows, for example the name of the device.
    ///   - isAllowed: whether this request may; false answers 403.
    /// - Returns: the routes, for chaining.
    @discardableResult
    public func addSessionAdministration(
        of manager: SessionManager,
        showing names: Set<String> = [],
        isAllowed: @escaping @Sendable (Request, Context) async throws -> Bool
    ) -> Self {
        let routes = SessionAdministration(manager: manager, names: names)
        func on(
            _ path: RouterPath,
            _ method: HTTPRequest.Method,
            _ handler: @escaping @Sendable (Request, Context) async throws -> Response
        ) {
            self.on(path, method: method) { request, context in
                guard try await isAllowed(request, context) else { throw HTTPError(.forbidden) }
                do { return try await handler(request, context) } catch let error as SessionError {
                    guard error.code == .unsupported else { throw error }
                    throw HTTPError(.notImplemented, message: "The store of these sessions cannot do this.")
                }
            }
        }
        on("sessions", .get) { request, _ in try await routes.list(request) }
        on("sessions", .delete) { request, _ in try await routes.endAll(request) }
        on("sessions/:id", .get) { request, context in try await routes.show(request, context) }
        on("sessions/:id", .delete) { request, context in try await routes.end(request, context) }
        return self
    }
}

/// The handlers of `addSessionAdministration`.
private struct SessionAdministration: Sendable {
    let manager: SessionManager
    let names: Set<String>

    // The names are those of `sessionctl --json`.
    private struct Answer: Encodable {
        let id: String
        let created: String
        let lastUsed: String
        let authenticated: String?
        let attributes: [PrintedAttribute]

        init(_ summary: SessionSummary) {
            self.init(
                summary.id,
                created: summary.created,
                lastUsed: summary.lastUsed,
                authenticated: summary.authenticatedAt,
                summary.attributes
            )
        }

        init(_ record: SessionRecord) {
            self.init(
                record.id,
                created: record.times.created,
                lastUsed: record.times.lastUsed,
                authenticated: record.times.authenticated,
                record.attributes
            )
        }

        private init(
            _ id: SessionID,
            created: SessionInstant,
            lastUsed: SessionInstant,
            authenticated: SessionInstant?,
            _ attributes: [String: [UInt8]]
        ) {
            self.id = "\(id)"
            self.created = "\(created)"
            self.lastUsed = "\(lastUsed)"
            self.authenticated = authenticated.map { "\($0)" }
            self.attributes = PrintedAttribute.all(attributes)
        }
    }

    private struct List: Encodable {
        let user: String
        let sessions: [Answer]
    }

    private struct Ended: Encodable { let ended: Int }

    func list(_ request: Request) async throws -> Response {
        let user = try user(request)
        let text = request.uri.queryParameters.get("limit") ?? "100"
        guard let limit = Int(text), (1...1000).contains(limit) else {
            throw HTTPError(.badRequest, message: "The limit is a number from 1 to 1000.")
        }
        let sessions = try await manager.list(for: user, SessionPage(names: names, limit: limit))
        return try json(List(user: user, sessions: sessions.map { Answer($0) }))
    }

    func show(_ request: Request, _ context: some RequestContext) async throws -> Response {
        guard let record = try await manager.record(try id(context), of: try user(request)) else {
            throw HTTPError(.notFound)
        }
        return try json(Answer(record))
    }

    func end(_ request: Request, _ context: some RequestContext) async throws -> Response {
        guard try await manager.revoke(try id(context), of: try user(request)) else {
            throw HTTPError(.notFound)
        }
        return try json(Ended(ended: 1))
    }

    func endAll(_ request: Request) async throws -> Response {
        let kept = try request.uri.queryParameters.get("except").map { try id($0) }
        return try json(Ended(ended: try await manager.revokeAll(of: try user(request), except: kept)))
    }

    private func user(_ request: Request) throws -> String {
        guard let name = request.uri.queryParameters.get("user"), !name.isEmpty else {
            throw HTTPError(.badRequest, message: "Name the user: ?user=NAME.")
        }
        return name
    }

    private func id(_ context: some RequestContext) throws -> SessionID {
        try id(context.parameters.get("id") ?? "")
    }

    private func id(_ text: String) throws -> SessionID {
        guard let id = SessionID(text) else {
            throw HTTPError(.badRequest, message: "This is not the ID of a session.")
        }
        return id
    }

    private func json(_ value: some Encodable) throws -> Response {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return Response(
            status: .ok,
            headers: [.contentType: "application/json; charset=utf-8", .cacheControl: "no-store"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: try encoder.encode(value)))
        )
    }
}
