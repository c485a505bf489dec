// SPDX-License-Identifier: Apache-2.0

public import Hummingbird
// Handlers name sessions, keys and errors: one import is enough for them.
@_exported public import Sessions

/// Gives every route below it a session: `context.session()`.
///
/// Runs the handler, commits, then lets the response head go. A request that never asks for its session costs nothing. When
/// the handler throws, nothing is stored but a sign-out (see `Session.keepChangesOnError`); an error that knows its HTTP response is turned into it here if the session was
/// touched, so that it is not cached (R73). Add middleware that renders error pages *after* this one. Answers 503 (with
/// `Retry-After`), 409, 413, 429 or 400 for a store outage, conflicts, oversize and bad values; see `SessionError.status`.
public struct SessionsMiddleware<Context: SessionsRequestContext>: RouterMiddleware {
    private let sessions: SessionManager
    private let client: (@Sendable (Request, Context) -> String?)?

    /// Uses a manager that was set up with its own policy, cookie or limits.
    ///
    /// - Parameters:
    ///   - sessions: the manager.
    ///   - context: the type of the context.
    ///   - client: returns the client's address, for events and `SessionManager.mayCreate`: behind a proxy that you
    ///     trust, what it says in a field such as `X-Forwarded-For`. By default the other end of the connection, where
    ///     the context keeps that (`BasicSessionsRequestContext` and every `RemoteAddressRequestContext` do).
    public init(
        _ sessions: SessionManager,
        context: Context.Type = Context.self,
        client: (@Sendable (Request, Context) -> String?)? = nil
    ) {
        self.sessions = sessions
        self.client = client
    }

    /// Uses the defaults: 30 minutes idle, 12 hours in all, a `__Host-session` cookie.
    public init(store: any SessionStore, context: Context.Type = Context.self) throws(SessionError) {
        self.init(try SessionManager(store: store))
    }

    /// Runs the handler with a session and commits it.
    public func handle(
        _ request: Request,
        context: Context,
        next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        let requestSession: RequestSession
        if let client {
            let address = client(request, context)
            requestSession = RequestSession(
                request.head,
                manager: sessions,
                client: address,
                logger: context.logger
            )
        } else {
            let address = context.remoteAddress
            requestSession = RequestSession(
                request.head,
                manager: sessions,
                client: address?.ipAddress,
                logger: context.logger
            )
        }
        var context = context
        context.requestSession = requestSession
        do {
            var response = try await requestSession.run { try await next(request, context) }
            try await requestSession.close(&response.head)
            return response
        } catch {
            return try await requestSession.response(to: error) {
                try ($0 as? any HTTPResponseError)?.response(from: request, context: context)
            }
        }
    }
}

/// The session writes its fields into the head.
extension Response: HeadedResponse {}

extension SessionError: HTTPResponseError {
    /// The response that `status`, `headers` and `body` describe.
    public func response(from request: Request, context: some RequestContext) throws -> Response {
        Response(status: status, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(string: body)))
    }
}
