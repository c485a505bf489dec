// SPDX-License-Identifier: Apache-2.0

import Hummingbird
import HummingbirdSessions

/// Routes that change what a session may do, or ask when its user signed in.
func addRightsRoutes(to router: Router<BasicSessionsRequestContext>) {
    router.post("/elevate") { _, context in
        try await context.session().elevate()
        return json(["ok": .bool(true)])
    }
    router.get("/authenticated") { request, context in
        let session = try await context.session()
        let within = Duration.seconds(try request.integer("within", default: 60))
        return json([
            "at": .optional(session.authenticatedAt?.description),
            "within": .bool(session.isAuthenticated(within: within)),
            "expiresIn": .number(Int(session.expiresIn?.components.seconds ?? 0)),
        ])
    }
    // Sign out everywhere, then sign in here.
    router.post("/change-password") { request, context in
        let user = try request.parameter("user")
        let session = try await context.session()
        let count = try await context.sessionManager.revokeAll(of: user)
        try session.signIn(as: user)
        return json(["revoked": .number(count)])
    }
}

extension SessionTerms {
    static let fortnight = SessionTerms(idleTimeout: .seconds(14 * 86_400), lifetime: .seconds(30 * 86_400))
}
