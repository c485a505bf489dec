// SPDX-License-Identifier: Apache-2.0

import Hummingbird
import HummingbirdSessions

extension SessionKey where Value == String {
    /// The user as whom an administrator looks at the site.
    static var actingAs: Self { .init("acting-as") }
}

/// Signing in for weeks, stepping up, acting as another user, and changing a password.
func addAccountRoutes(
    to router: Router<BasicSessionsRequestContext>,
    check: @escaping @Sendable (Request) async throws -> (user: String, isRemembered: Bool)
) {
    router.post("/login") { request, context in
        let session = try await context.session()
        // If the password is changed while it is checked, the sign-in is refused: 409.
        let (user, isRemembered) = try await check(request)
        // "Remember me": 14 days without a visit, 30 days in all, and a cookie that survives the browser.
        let terms = SessionTerms(idleTimeout: .seconds(14 * 86_400), lifetime: .seconds(30 * 86_400))
        try session.signIn(as: user, terms: isRemembered ? terms : nil)
        return Response(status: .noContent)
    }
    router.post("/payments") { _, context in
        // Step-up: a session may be weeks old; this needs the password of the last ten minutes.
        guard try await context.session().isAuthenticated(within: .seconds(600)) else {
            throw HTTPError(.unauthorized)
        }
        return Response(status: .noContent)
    }
    router.post("/act-as/:user") { _, context in
        let session = try await context.session()
        guard session.principal == "root" else { throw HTTPError(.forbidden) }
        // The session stays the administrator's, in their list, and ends with `revokeAll(of: "root")`.
        try session.set(.actingAs, try context.parameters.require("user"))
        // The rights change: a copy of the old cookie must not have the new ones.
        try session.elevate()
        return Response(status: .noContent)
    }
    router.post("/password") { request, context in
        let session = try await context.session()
        let (user, _) = try await check(request)
        // Everybody out, this browser's old cookie included; sign-ins with the old password that are under way fail.
        try await context.sessionManager.revokeAll(of: user)
        try session.signIn(as: user)
        return Response(status: .noContent)
    }
}
