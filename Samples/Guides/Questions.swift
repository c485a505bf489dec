// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Hummingbird
import HummingbirdSessions

// The code of the guide "Questions".

/// A sign-in at another site that has begun.
struct PendingLogin: Codable, Sendable {
    let state: String
    let began: SessionInstant
}

extension SessionKey where Value == PendingLogin {
    static var pendingLogin: Self { .init("pending-login") }
}

func addQuestions(to router: Router<BasicSessionsRequestContext>, staff: SessionManager) {
    router.get("/oauth/start") { _, context in
        let session = try await context.session()
        let login = PendingLogin(state: makeToken(), began: session.now)
        try session.set(.pendingLogin, login)
        return Response.redirect(to: "https://id.example/authorize?state=\(login.state)", type: .found)
    }

    router.get("/oauth/callback") { request, context in
        let session = try await context.session()
        guard let login = try await session.take(.pendingLogin),
            login.state == request.uri.queryParameters.get("state"),
            session.now < login.began + .seconds(600)
        else { throw HTTPError(.badRequest, message: "Begin again: this sign-in is over.") }
        return Response(status: .noContent)
    }

    router.get("/about") { request, context in
        let mayHaveSession = try context.sessionManager.credential(of: request.head) != nil
        var response = page(mayHaveSession ? "<a href=/cart>Your cart</a>" : "<a href=/login>Sign in</a>")
        response.headers[.vary] = "Cookie"
        return response
    }

    let admin = router.group("admin").add(middleware: SessionsMiddleware(staff))
    admin.get("/visits") { _, context in
        try await context.session().increment(.staffVisits)
        return Response(status: .noContent)
    }
}

extension SessionKey where Value == Int {
    static var staffVisits: Self { .init("staff-visits") }
}
