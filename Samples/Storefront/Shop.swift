// SPDX-License-Identifier: Apache-2.0

import Foundation
import GracefulDrain
import HTTPTypes
import Hummingbird
import HummingbirdSessions
import Sessions

/// The routes.
///
/// A form changes something and redirects to a page, so that reloading repeats nothing.
struct Shop: Sendable {
    typealias Context = ShopContext

    let sessions: SessionManager
    let strategy: Strategy
    let instance: String
    let drain: GracefulDrain
    let meter: Meter
    /// Where the demo's supervisor is met; nil outside of the demo.
    let demo: Demo?

    func router() -> Router<Context> {
        let router = Router(context: Context.self, options: .autoGenerateHeadEndpoints)
        router.add(middleware: FrameMiddleware(shop: self))
        router.add(middleware: CrossOriginProtectionMiddleware())
        router.add(middleware: SessionsMiddleware(sessions))

        router.get("/") { _, context in try await front(context) }
        router.get("/style.css") { _, _ in Self.asset(Page.style, "text/css; charset=utf-8") }
        router.get("/script.js") { _, _ in Self.asset(Page.script, "text/javascript; charset=utf-8") }
        router.get("/icon.svg") { _, _ in Self.asset(Page.icon, "image/svg+xml") }

        router.post("/cart") { request, context in
            let product = try await product(in: request, context)
            let session = try await context.session()
            try session.update(.cart, default: Cart()) { $0.add(product) }
            try session.flash("\(product.name) is in the cart.")
            return Response.redirect(to: "/")
        }
        router.post("/cart/remove") { request, context in
            let product = try await product(in: request, context)
            let session = try await context.session()
            try session.update(.cart, default: Cart()) { $0.remove(product) }
            try session.flash("\(product.name) is out of the cart.")
            return Response.redirect(to: "/")
        }

        router.post("/sign-in") { request, context in try await signIn(request, context) }
        router.post("/sign-out") { _, context in
            try await context.session().signOut()
            return Response.redirect(to: "/")
        }

        router.get("/devices") { _, context in try await devices(context) }
        router.post("/devices/sign-out") { request, context in try await signOutDevice(request, context) }
        router.post("/devices/sign-out-others") { _, context in
            let session = try await context.session()
            guard let user = session.principal, let id = session.id else {
                return Response.redirect(to: "/")
            }
            let count = try await sessions.revokeAll(of: user, except: id)
            try session.flash(
                count == 1 ? "The other device is signed out." : "\(count) other devices are signed out."
            )
            return Response.redirect(to: "/devices")
        }

        router.get("/healthz") { _, _ in
            drain.isDraining ? Response(status: .serviceUnavailable) : Self.plain("ok")
        }
        router.get("/readyz") { _, _ in
            do { try await sessions.store.check() } catch {
                return Response(status: .serviceUnavailable, headers: [.retryAfter: "1"])
            }
            return Self.plain("ready")
        }
        if let demo { addRoutes(of: demo, to: router) }
        return router
    }

    // MARK: Pages

    private func front(_ context: Context) async throws -> Response {
        let session = try await context.session()
        let (cart, frame) = (session[.cart] ?? Cart(), try frame(session, context))
        return .page { Page.front(cart: cart, frame) }
    }

    private func devices(_ context: Context) async throws -> Response {
        let session = try await context.session()
        guard let user = session.principal else { return .redirect(to: "/") }
        let (list, frame) = (
            try await sessions.list(for: user, showing: .device), try frame(session, context)
        )
        return .page { [strategy] in
            Page.devices(list, note: strategy.deviceNote, current: session.id, now: .now, frame)
        }
    }

    private func frame(_ session: Session, _ context: Context) throws -> Page.Frame {
        Page.Frame(
            user: session.principal,
            messages: try session.takeFlash(),
            panel: panel(session, context.receipt)
        )
    }

    /// What stands beside the shop.
    func panel(_ session: Session?, _ receipt: Receipt) -> Panel {
        Panel(
            instance: instance,
            strategy: strategy,
            cookieName: sessions.cookie.name,
            session: session,
            receipt: receipt,
            demo: demo
        )
    }

    // MARK: Forms

    private struct ProductForm: Decodable { let product: String }
    private struct SignInForm: Decodable { let name: String }
    private struct DeviceForm: Decodable { let id: String }

    private func signIn(_ request: Request, _ context: Context) async throws -> Response {
        let form = try await form(SignInForm.self, request, context)
        let name = form.name.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        guard (1...40).contains(name.count), name.utf8.count <= 200 else {
            throw HTTPError(.badRequest, message: "A name has 1 to 40 letters.")
        }
        let session = try await context.session()
        // A real shop asks for proof here.
        try session.signIn(as: name, keeping: .cart)
        try session.set(.device, DeviceName.from(userAgent: request.headers[.userAgent]))
        try session.flash("Welcome, \(name).")
        return .redirect(to: "/")
    }

    private func signOutDevice(_ request: Request, _ context: Context) async throws -> Response {
        let form = try await form(DeviceForm.self, request, context)
        let session = try await context.session()
        guard let user = session.principal else { return .redirect(to: "/") }
        guard let id = SessionID(form.id) else {
            throw HTTPError(.badRequest, message: "There is no such device.")
        }
        if id == session.id {
            try session.signOut()
            return .redirect(to: "/")
        }
        let isRevoked = try await sessions.revoke(id, of: user)
        try session.flash(isRevoked ? "That device is signed out." : "That device was signed out already.")
        return .redirect(to: "/devices")
    }

    private func product(in request: Request, _ context: Context) async throws -> Product {
        let form = try await form(ProductForm.self, request, context)
        guard let product = Product.named(form.product) else {
            throw HTTPError(.badRequest, message: "There is no such product.")
        }
        return product
    }

    func form<Form: Decodable>(_ type: Form.Type, _ request: Request, _ context: Context) async throws
        -> Form
    {
        do {
            return try await URLEncodedFormDecoder().decode(type, from: request, context: context)
        } catch let error as any HTTPResponseError {
            throw error
        } catch {
            throw HTTPError(.badRequest, message: "The form is not complete.")
        }
    }

    static func plain(_ text: String) -> Response {
        Response(
            status: .ok,
            headers: [.contentType: "text/plain; charset=utf-8", .cacheControl: "no-store"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: text + "\n"))
        )
    }

    private static func asset(_ text: String, _ type: String) -> Response {
        Response(
            status: .ok,
            headers: [.contentType: type, .cacheControl: "public, max-age=60"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: text))
        )
    }
}
