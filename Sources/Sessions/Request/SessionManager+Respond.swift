// SPDX-License-Identifier: Apache-2.0

public import HTTPTypes
public import Logging

/// Sessions around a handler, for servers that have no adapter: all they need is `HTTPRequest` and `HTTPResponse`.
extension SessionManager {
    /// Answers a request with a handler that may ask for the session.
    ///
    /// Does what an adapter does: refuses requests of other sites, runs the handler, commits, writes the header fields of
    /// the response, and answers the errors of sessions. When this returns, the response may be sent; a 2xx answer to an
    /// unsafe method means: stored.
    ///
    /// ```swift
    /// let response = try await sessions.respond(to: request) { context in
    ///     let session = try await context.session()
    ///     try session.increment(.visits)
    ///     return HTTPResponse(status: .noContent)
    /// }
    /// ```
    ///
    /// No round trip for a handler that does not ask; for the others see `RequestSession.session` and
    /// `RequestSession.close`. Each field of `Set-Cookie` must be sent as a line of its own, and `request` must hold all of
    /// the `Cookie` lines.
    ///
    /// - Parameters:
    ///   - request: the head of the request: method, path, `Host` as `authority`, the scheme of the connection, and the
    ///     header fields.
    ///   - client: the client's address; see `RequestSession.init`.
    ///   - logger: the request's logger; see `RequestSession.init`.
    ///   - protection: what other sites' pages may send; nil for a server that refuses it further outside.
    ///   - response: makes the response to an error of the application, so that it is not cached if the session was asked
    ///     for. By default, and where it returns nil, a `SessionError` and a `CrossOriginRefusal` are answered with their
    ///     `status` and `headers`, and other errors are thrown.
    ///   - handler: makes the response. When it throws, nothing is stored but a sign-out; see
    ///     `Session.keepChangesOnError`. Runs in the caller's isolation.
    /// - Returns: the response, complete but for what the server adds itself.
    /// - Throws: errors that have no response.
    public nonisolated(nonsending) func respond(
        to request: HTTPRequest,
        client: @autoclosure @escaping @Sendable () -> String? = nil,
        logger: Logger? = nil,
        protection: CrossOriginProtection? = CrossOriginProtection(),
        toError response: (any Error) -> HTTPResponse? = { _ in nil },
        _ handler: nonisolated(nonsending) (RequestSession) async throws -> HTTPResponse
    ) async throws -> HTTPResponse {
        try await respond(
            to: request,
            client: client(),
            logger: logger,
            protection: protection,
            toError: { error in response(error).map { ($0, ()) } },
            errorBody: { _ in },
            { context in (try await handler(context), ()) }
        ).0
    }

    /// Answers a request with a head and a body of the server's own type; see the other `respond`.
    ///
    /// The body is not looked at. What is still sent after the head cannot change the session any more, except by `amend`.
    ///
    /// - Parameters:
    ///   - request: see the other `respond`.
    ///   - client: see the other `respond`.
    ///   - logger: see the other `respond`.
    ///   - protection: see the other `respond`.
    ///   - response: see the other `respond`.
    ///   - errorBody: makes the body of a response to a `SessionError` or a `CrossOriginRefusal` of its text, which is
    ///     JSON.
    ///   - handler: see the other `respond`.
    /// - Returns: the head, complete but for what the server adds itself, and the body.
    /// - Throws: errors that have no response.
    public nonisolated(nonsending) func respond<Body>(
        to request: HTTPRequest,
        client: @autoclosure @escaping @Sendable () -> String? = nil,
        logger: Logger? = nil,
        protection: CrossOriginProtection? = CrossOriginProtection(),
        toError response: (any Error) -> (HTTPResponse, Body)? = { _ in nil },
        errorBody: (String) -> Body,
        _ handler: nonisolated(nonsending) (RequestSession) async throws -> (HTTPResponse, Body)
    ) async throws -> (HTTPResponse, Body) {
        func answer(_ error: any Error) -> Answer<Body>? {
            if let (head, body) = response(error) { return Answer(head: head, body: body) }
            switch error {
            case let error as SessionError:
                return Answer(
                    head: HTTPResponse(status: error.status, headerFields: error.headers),
                    body: errorBody(error.body)
                )
            case let error as CrossOriginRefusal:
                return Answer(
                    head: HTTPResponse(status: error.status, headerFields: error.headers),
                    body: errorBody(error.body)
                )
            default: return nil
            }
        }
        do {
            if let refusal = protection?.refusal(of: request) {
                events.note("refused a request: \(refusal)", logger)
                throw refusal
            }
            let context = RequestSession(request, manager: self, client: client(), logger: logger)
            do {
                var (head, body) = try await context.run { try await handler(context) }
                try await context.close(&head)
                return (head, body)
            } catch {
                let known = try await context.response(to: error, answer)
                return (known.head, known.body)
            }
        } catch {
            guard let known = answer(error) else { throw error }
            return (known.head, known.body)
        }
    }

    /// Returns the session cookie's value in a request, for `withSession`; nil without one.
    ///
    /// For connections whose handshake has no session of its own, such as WebSockets of a server without an adapter.
    /// Reads the `Cookie` fields by the rules of requests: nil also when there are several cookies of the session's name.
    /// Says nothing about the session: `withSession` loads it, or throws `.noSession`. Check
    /// `CrossOriginProtection.refusal(of:)` first: browsers send the cookie along with the handshakes of other sites'
    /// pages.
    ///
    /// **A bearer secret**, valid until the session gets another one, by a sign-in or a renewal. Keep it no longer than the
    /// connection, and for a signed-in user keep `Session.id` and `Session.principal` instead: they outlive a renewal, and
    /// a secret that was replaced looks stolen when it is used again. Costs no round trip.
    ///
    /// - Parameter request: the head of the request.
    /// - Returns: what the client presented.
    public func credential(of request: HTTPRequest) -> SessionCredential? {
        let lookup = cookie.read(request.headerFields, isDivided: store.dividesCookie)
        guard case .value(let value) = lookup.value, !value.isEmpty else { return nil }
        return SessionCredential(value)
    }
}

private struct Answer<Body>: HeadedResponse {
    var head: HTTPResponse
    var body: Body
}
