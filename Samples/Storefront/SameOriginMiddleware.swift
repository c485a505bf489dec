// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Hummingbird

/// Refuses forms that another site sends in the visitor's name.
///
/// Browsers say where a request comes from: `Sec-Fetch-Site` on secure origins, `Origin` on all. A client
/// that says neither is no browser and carries no cookie that it did not mean to send. The cookie's
/// `SameSite=Lax` is the second lock.
struct SameOriginMiddleware<Context: RequestContext>: RouterMiddleware {
    func handle(
        _ request: Request,
        context: Context,
        next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        guard request.method == .get || request.method == .head || Self.isOwn(request) else {
            throw HTTPError(.forbidden, message: "This form was not sent from this shop.")
        }
        return try await next(request, context)
    }

    private static func isOwn(_ request: Request) -> Bool {
        if let site = request.headers[values: HTTPField.Name("Sec-Fetch-Site")!].first {
            return site == "same-origin" || site == "none"
        }
        guard let origin = request.headers[.origin] else { return true }
        return request.head.authority.map { origin == "https://\($0)" || origin == "http://\($0)" } ?? false
    }
}
