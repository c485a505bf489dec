// SPDX-License-Identifier: Apache-2.0

public import Hummingbird
import Logging
public import Sessions

/// Refuses what another site's page makes a visitor's browser send (CSRF; R83).
///
/// Answers 403 to unsafe requests from other origins, before the session is loaded; `CrossOriginProtection`
/// lists the rules. Add it before `SessionsMiddleware`, to the router of WebSocket handshakes as well (their
/// middleware is separate), and *after* middleware that renders error pages: the refusal is thrown. A CORS
/// middleware goes before it, and every origin that may send cookies with unsafe methods is a trusted one.
public struct CrossOriginProtectionMiddleware<Context: RequestContext>: RouterMiddleware {
    private let protection: CrossOriginProtection
    private let onRefusal: (@Sendable (CrossOriginRefusal, Request) -> Void)?

    /// Creates the middleware.
    ///
    /// - Parameters:
    ///   - protection: the rules, with trusted origins and exempt paths if there are any.
    ///   - context: the router's context.
    ///   - onRefusal: is told of each refused request, for counters and alarms; must return at once. Each is
    ///     logged at level `info` also.
    public init(
        _ protection: CrossOriginProtection = CrossOriginProtection(),
        context: Context.Type = Context.self,
        onRefusal: (@Sendable (CrossOriginRefusal, Request) -> Void)? = nil
    ) {
        self.protection = protection
        self.onRefusal = onRefusal
    }

    /// Runs the handler, or throws a `CrossOriginRefusal`.
    public func handle(
        _ request: Request,
        context: Context,
        next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        if let refusal = protection.refusal(of: request.head) {
            context.logger.info("refused a request: \(refusal)")
            onRefusal?(refusal, request)
            throw refusal
        }
        return try await next(request, context)
    }
}

extension CrossOriginRefusal: HTTPResponseError {
    /// The response that `status`, `headers` and `body` describe.
    public func response(from request: Request, context: some RequestContext) throws -> Response {
        Response(status: status, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(string: body)))
    }
}
