// SPDX-License-Identifier: Apache-2.0

import Hummingbird
import HummingbirdSessions

/// The part of an application that knows passwords.
struct User {
    let name: String

    /// The user whose name and password are in the request's form.
    init(authenticating request: Request) async throws { throw HTTPError(.unauthorized) }
}

func addAccountRoutes(to router: Router<BasicSessionsRequestContext>) {
    router.post("/sign-in") { request, context in
        let user = try await User(authenticating: request)
        try await context.session().signIn(as: user.name)
        return "Hello, \(user.name)\n"
    }

    router.post("/sign-out") { _, context in
        try await context.session().signOut()
        return "Good-bye\n"
    }

    router.get("/account") { _, context in
        guard let name = try await context.session().principal else { throw HTTPError(.unauthorized) }
        return "Signed in as \(name)\n"
    }
}
