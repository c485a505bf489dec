// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Hummingbird
import Logging

/// What every answer has in common: the instance's name, the rules for the browser, and pages instead of bare
/// errors.
struct FrameMiddleware<Context: RequestContext>: RouterMiddleware {
    let instance: String
    private static var contentPolicy: String {
        "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    }

    func handle(
        _ request: Request,
        context: Context,
        next: (Request, Context) async throws -> Response
    ) async throws -> Response {
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
        if response.status.code >= 400, request.method != .head { explain(&response) }
        response.headers[HTTPField.Name("X-Instance")!] = instance
        response.headers[.contentSecurityPolicy] = Self.contentPolicy
        response.headers[.xContentTypeOptions] = "nosniff"
        response.headers[HTTPField.Name("Referrer-Policy")!] = "same-origin"
        return response
    }

    /// Replaces the body by a page; the status and the other header fields (`Retry-After`) stay.
    private func explain(_ response: inout Response) {
        let page = Page.failure(status: response.status, instance: instance)
        response.body = ResponseBody(byteBuffer: ByteBuffer(string: page.text))
        response.headers[.contentType] = "text/html; charset=utf-8"
        response.headers[.contentLength] = nil
    }
}
