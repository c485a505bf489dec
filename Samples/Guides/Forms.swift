// SPDX-License-Identifier: Apache-2.0

import Hummingbird
import HummingbirdSessions

// The code of the guide "Forms and CSRF".

extension SessionKey where Value == String {
    static var nickname: Self { .init("nickname") }
    static var order: Self { .init("order") }
    static var csrf: Self { .init("csrf") }
}

struct ProfileForm: Decodable {
    let nickname: String
}

struct OrderForm: Decodable {
    let order: String
}

struct TokenForm: Decodable {
    let csrf: String
}

/// 128 random bits: Swift's default generator is the system's.
func makeToken() -> String {
    String(UInt64.random(in: .min ... .max), radix: 36) + "-"
        + String(UInt64.random(in: .min ... .max), radix: 36)
}

func escaped(_ text: String) -> String {
    text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing("\"", with: "&quot;")
}

func page(_ body: String) -> Response {
    Response(
        status: .ok,
        headers: [.contentType: "text/html; charset=utf-8"],
        body: ResponseBody(byteBuffer: ByteBuffer(string: body))
    )
}

func makeSite(sessions: SessionManager) throws -> Router<BasicSessionsRequestContext> {
    let protection = try CrossOriginProtection(
        trustedOrigins: ["https://admin.example.com"],
        exemptPaths: ["/hooks/*"]
    )
    let router = Router(context: BasicSessionsRequestContext.self)
    router.add(middleware: CrossOriginProtectionMiddleware(protection))
    router.add(middleware: SessionsMiddleware(sessions))
    return router
}

func addForms(
    to router: Router<BasicSessionsRequestContext>,
    placeOrder: @escaping @Sendable (_ key: String) async throws -> Void
) {
    router.post("/profile") { request, context in
        let form = try await URLEncodedFormDecoder().decode(ProfileForm.self, from: request, context: context)
        let session = try await context.session()
        try session.set(.nickname, form.nickname)
        try session.flash("Your profile is saved.")
        return Response.redirect(to: "/profile")
    }

    router.get("/profile") { _, context in
        let session = try await context.session()
        let messages = try session.takeFlash().map { "<p role=\"status\">\(escaped($0))</p>" }
        return page(messages.joined() + "<p>\(escaped(session[.nickname] ?? ""))</p>")
    }

    router.get("/order") { _, context in
        let token = try await context.session().value(.order) { makeToken() }
        return page("<form method=\"post\"><input type=\"hidden\" name=\"order\" value=\"\(token)\">…</form>")
    }

    router.post("/order") { request, context in
        let token = try await URLEncodedFormDecoder().decode(OrderForm.self, from: request, context: context)
            .order
        let session = try await context.session()
        let isFirst = try await session.updateNow(.order) { stored in
            guard stored == token else { return false }
            stored = nil
            return true
        }
        if isFirst { try await placeOrder(token) }
        return Response.redirect(to: "/orders")
    }

    router.get("/transfer") { _, context in
        let token = try await context.session().value(.csrf) { makeToken() }
        return page("<form method=\"post\"><input type=\"hidden\" name=\"csrf\" value=\"\(token)\">…</form>")
    }

    router.post("/transfer") { request, context in
        let form = try await URLEncodedFormDecoder().decode(TokenForm.self, from: request, context: context)
        guard try await context.session()[.csrf] == form.csrf else { throw HTTPError(.forbidden) }
        return Response.redirect(to: "/transfer")
    }
}
