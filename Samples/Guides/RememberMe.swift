// SPDX-License-Identifier: Apache-2.0

import Hummingbird
import HummingbirdSessions

// The code of the guide "Remember me and step-up".

extension SessionTerms {
    /// 14 days without a visit, 30 days in all, and a cookie that survives the browser.
    static var remembered: Self {
        Self(idleTimeout: .seconds(14 * 86_400), lifetime: .seconds(30 * 86_400))
    }
}

extension SessionKey where Value == SessionInstant {
    static var codeCheckedAt: Self { .init("code-checked-at") }
}

struct RememberForm: Decodable {
    let name: String
    let password: String
    /// A check box: nil when it is not ticked.
    let remember: String?
}

struct PasswordForm: Decodable {
    let password: String
}

func addRememberMe(
    to router: Router<BasicSessionsRequestContext>,
    accounts: some Accounts,
    isCodeRight: @escaping @Sendable (Request, _ user: String) async throws -> Bool
) {
    router.post("/remember/sign-in") { request, context in
        let form = try await URLEncodedFormDecoder().decode(
            RememberForm.self,
            from: request,
            context: context
        )
        guard let user = try await accounts.user(named: form.name, password: form.password) else {
            throw HTTPError(.unauthorized)
        }
        let session = try await context.session()
        try session.signIn(as: user, terms: form.remember == nil ? nil : .remembered)
        return Response.redirect(to: "/account")
    }

    router.post("/payments") { _, context in
        guard try await context.session().isAuthenticated(within: .seconds(600)) else {
            return Response.redirect(to: "/confirm")
        }
        return Response(status: .noContent)
    }

    router.post("/confirm") { request, context in
        let form = try await URLEncodedFormDecoder().decode(
            PasswordForm.self,
            from: request,
            context: context
        )
        let session = try await context.session()
        guard let user = session.principal,
            try await accounts.user(named: user, password: form.password) == user
        else { throw HTTPError(.unauthorized) }
        let isRemembered = session.times?.persistence != nil
        try session.signIn(as: user, keeping: .cart, .device, terms: isRemembered ? .remembered : nil)
        return Response.redirect(to: "/payments")
    }

    router.post("/second-factor") { request, context in
        let session = try await context.session()
        guard let user = session.principal, try await isCodeRight(request, user) else {
            throw HTTPError(.unauthorized)
        }
        try session.set(.codeCheckedAt, session.now)
        try session.elevate()
        return Response.redirect(to: "/account")
    }

    router.get("/audit-log") { _, context in
        let session = try await context.session()
        guard let checked = session[.codeCheckedAt], session.now - checked <= .seconds(3600) else {
            throw HTTPError(.forbidden)
        }
        return "…"
    }
}
