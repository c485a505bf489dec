// SPDX-License-Identifier: Apache-2.0

import Hummingbird
import HummingbirdSessions

// The code of the guide "Sign-in done right".

/// The application's accounts: they know the passwords, sessions do not.
protocol Accounts: Sendable {
    /// The user of this name and password; nil when either is wrong.
    func user(named name: String, password: String) async throws -> String?
}

extension SessionKey where Value == [String] {
    static var cart: Self { .init("cart") }
}

extension SessionKey where Value == String {
    static var device: Self { .init("device") }
}

struct SignInForm: Decodable {
    let name: String
    let password: String
}

func addSignIn(to router: Router<BasicSessionsRequestContext>, accounts: some Accounts) {
    router.post("/sign-in") { request, context in
        let form = try await URLEncodedFormDecoder().decode(SignInForm.self, from: request, context: context)
        guard let user = try await accounts.user(named: form.name, password: form.password) else {
            throw HTTPError(.unauthorized)
        }
        let session = try await context.session()
        try session.signIn(as: user, keeping: .cart)
        try session.set(.device, String(request.headers[.userAgent]?.prefix(200) ?? "unknown"))
        return Response.redirect(to: "/account")
    }

    router.post("/sign-out") { _, context in
        try await context.session().signOut()
        return Response.redirect(to: "/")
    }

    router.post("/sign-out-everywhere") { _, context in
        let session = try await context.session()
        guard let user = session.principal else { throw HTTPError(.unauthorized) }
        try await context.sessionManager.revokeAll(of: user)
        try session.signOut()
        return Response.redirect(to: "/")
    }
}

/// Lets signed-in users through, and sends others to the form.
struct RequiresUser: RouterMiddleware {
    func handle(
        _ request: Request,
        context: BasicSessionsRequestContext,
        next: (Request, BasicSessionsRequestContext) async throws -> Response
    ) async throws -> Response {
        guard try await context.session().principal != nil else { return .redirect(to: "/sign-in") }
        return try await next(request, context)
    }
}

struct Device: ResponseEncodable {
    let id: String
    let name: String
    let lastUsed: String
    let isThisOne: Bool
}

func addDevices(to router: Router<BasicSessionsRequestContext>) {
    let account = router.group("/account").add(middleware: RequiresUser())

    account.get("/devices") { _, context in
        let session = try await context.session()
        guard let user = session.principal else { throw HTTPError(.unauthorized) }
        return try await context.sessionManager.list(for: user, showing: .device).map { entry in
            Device(
                id: "\(entry.id)",
                name: entry[.device] ?? "unknown",
                lastUsed: "\(entry.lastUsed)",
                isThisOne: entry.id == session.id
            )
        }
    }

    account.post("/devices/:id/sign-out") { _, context in
        guard let user = try await context.session().principal,
            let id = SessionID(try context.parameters.require("id")),
            try await context.sessionManager.revoke(id, of: user)
        else { throw HTTPError(.notFound) }
        return Response.redirect(to: "/account/devices")
    }
}

func makeAuditedSessions(
    in store: any SessionStore,
    audit: AsyncStream<SessionEvent>.Continuation
) throws -> SessionManager {
    try SessionManager(
        store: store,
        onEvent: { event in
            switch event.kind {
            case .signedIn, .signedOut, .revoked, .elevated, .replayed, .wrongSecret: audit.yield(event)
            default: break
            }
        }
    )
}
