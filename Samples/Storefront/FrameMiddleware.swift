// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Hummingbird
import Logging
import Sessions

/// What every answer has in common: the instance's name, the rules for the browser, pages instead of bare errors, and
/// what it has cost.
struct FrameMiddleware: RouterMiddleware {
    typealias Context = ShopContext

    let shop: Shop
    private static let stepCookie = "last-form"
    private static let contentPolicy = """
        default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; \
        form-action 'self'; base-uri 'none'; frame-ancestors 'none'
        """

    func handle(
        _ request: Request,
        context: Context,
        next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        let mark = shop.meter.begin()
        context.receipt.previous = Step(cookie: request.cookies[Self.stepCookie]?.value)
        var response: Response
        do {
            response = try await next(request, context)
        } catch let error as any HTTPResponseError {
            response = try error.response(from: request, context: context)
        } catch {
            context.logger.error(
                "request failed",
                metadata: ["path": "\(request.uri.path)", "error": "\(error)"]
            )
            response = Response(status: .internalServerError)
        }
        // The session is committed, and the body is not written yet.
        let cost = shop.meter.end(mark)
        context.receipt.cost = cost
        if response.status.code >= 400, request.method != .head { explain(&response, context.receipt) }
        // An order to the demo is not one of the shop's forms.
        if request.method == .post, response.status == .seeOther, !request.uri.path.hasPrefix("/demo/") {
            set(Step(path: request.uri.path, instance: shop.instance, cost: cost), on: &response)
        } else if context.receipt.previous != nil, response.isPage, response.status.code < 400 {
            set(nil, on: &response)
        }
        response.headers[HTTPField.Name("X-Instance")!] = shop.instance
        response.headers[.contentSecurityPolicy] = Self.contentPolicy
        response.headers[.xContentTypeOptions] = "nosniff"
        response.headers[HTTPField.Name("Referrer-Policy")!] = "same-origin"
        return response
    }

    /// Tells the next page about a form, or ends what was told.
    private func set(_ step: Step?, on response: inout Response) {
        let life = step == nil ? "; Max-Age=0" : "; Max-Age=20"
        let secure = shop.sessions.cookie.isSecure ? "; Secure" : ""
        let field = "\(Self.stepCookie)=\(step?.cookie ?? "")\(life); Path=/; HttpOnly; SameSite=Lax\(secure)"
        // In front: curl 7.88 restores a deleted cookie from its jar if another cookie is set behind the deletion.
        response.headers[values: .setCookie].insert(field, at: 0)
    }

    /// Replaces the body by a page; the status and the other header fields (`Retry-After`) stay.
    private func explain(_ response: inout Response, _ receipt: Receipt) {
        let page = Page.failure(status: response.status, shop.panel(nil, receipt))
        response.body = ResponseBody(byteBuffer: ByteBuffer(string: page.text))
        response.headers[.contentType] = "text/html; charset=utf-8"
        response.headers[.contentLength] = nil
    }
}

extension Response {
    /// A page that is rendered when the session is committed, and so knows what the request has cost.
    static func page(_ render: @escaping @Sendable () -> HTML) -> Response {
        Response(
            status: .ok,
            headers: [.contentType: "text/html; charset=utf-8"],
            body: ResponseBody { writer in
                try await writer.write(ByteBuffer(string: render().text))
                try await writer.finish(nil)
            }
        )
    }

    fileprivate var isPage: Bool { headers[.contentType]?.hasPrefix("text/html") == true }
}
