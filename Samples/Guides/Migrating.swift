// SPDX-License-Identifier: Apache-2.0

import Hummingbird
import HummingbirdSessions

// The code of the guide "Migrating".

/// An application's own context, which also has what other middleware needs.
struct ShopContext: SessionsRequestContext {
    var coreContext: CoreRequestContextStorage
    var requestSession: RequestSession?

    init(source: Source) { coreContext = CoreRequestContextStorage(source: source) }
}

/// Signs users in who still have a session of the old package.
struct OldSessionMiddleware: RouterMiddleware {
    let oldCookie: String
    /// Ends the old session of the request, and returns its user.
    let takeUser: @Sendable (Request) async throws -> String?

    func handle(
        _ request: Request,
        context: ShopContext,
        next: (Request, ShopContext) async throws -> Response
    ) async throws -> Response {
        guard request.method == .get, request.cookies[oldCookie] != nil else {
            return try await next(request, context)
        }
        let session = try await context.session()
        guard session.principal == nil, let user = try await takeUser(request) else {
            return try await next(request, context)
        }
        try session.signIn(as: user)
        return .redirect(to: "/")
    }
}
