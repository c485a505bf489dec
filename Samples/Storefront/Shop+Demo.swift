// SPDX-License-Identifier: Apache-2.0

import GracefulDrain
import HTTPTypes
import Hummingbird
import HummingbirdSessions
import Sessions

/// What there is only in the demo, and only for browsers on this machine.
extension Shop {
    private struct OrderForm: Decodable {
        let order: String
        let back: String?
    }

    func addRoutes(of demo: Demo, to router: Router<Context>) {
        let local = router.group().add(middleware: LocalMiddleware())

        local.post("/demo/order") { request, context in
            let form = try await form(OrderForm.self, request, context)
            guard Demo.orders.contains(form.order) else {
                throw HTTPError(.badRequest, message: "There is no such order.")
            }
            guard demo.give(form.order) else { throw HTTPError(.serviceUnavailable) }
            return Response.redirect(to: (form.back == "/devices" ? "/devices" : "/") + "#demo")
        }

        local.get("/events") { _, _ in events(of: demo) }

        // What `Storefront traffic` counts: not `increment`, but what shops do, so that two at once meet.
        local.post("/demo/count") { request, context in
            let session = try await context.session()
            if let pause = request.uri.queryParameters.get("pause", as: Int.self) {
                try await Task.sleep(for: .milliseconds(min(max(pause, 0), 1000)))
            }
            try session.update(.count, default: 0) { $0 += 1 }
            return Self.plain("counted")
        }
        local.get("/demo/count") { _, context in
            let session = try await context.session()
            return Self.plain("\(session[.count] ?? 0)")
        }
    }

    /// The state of the demo whenever it changes, until the page or this instance goes away.
    private func events(of demo: Demo) -> Response {
        Response(
            status: .ok,
            headers: [.contentType: "text/event-stream", .cacheControl: "no-store"],
            body: ResponseBody { [drain] writer in
                var last = ""
                var rounds = 0
                try await writer.write(ByteBuffer(string: "retry: 500\n\n"))
                while !drain.isDraining, !Task.isCancelled {
                    let event = demo.state.event
                    // Again after 10 s, before a balancer takes the silence for an end.
                    if event != last || rounds % 40 == 0 { try await writer.write(ByteBuffer(string: event)) }
                    last = event
                    rounds += 1
                    try await Task.sleep(for: .milliseconds(250))
                }
                try await writer.finish(nil)
            }
        )
    }
}

extension SessionKey where Value == Int {
    /// How often the demo's own visitors have changed their session.
    fileprivate static var count: Self { .init("count") }
}

/// Answers 404 to everything that does not come from this machine, under one of its names.
///
/// The name matters, too: a page elsewhere may have a name that leads to 127.0.0.1.
private struct LocalMiddleware: RouterMiddleware {
    func handle(
        _ request: Request,
        context: ShopContext,
        next: (Request, ShopContext) async throws -> Response
    ) async throws -> Response {
        let forwarded = request.headers[values: HTTPField.Name("X-Forwarded-For")!].last?
            .split(separator: ",").last?.trimmingPrefix(while: \.isWhitespace)
        let host = request.head.authority.map { Self.host($0) }
        guard Self.isLocal(context.remoteAddress?.ipAddress), forwarded == nil || Self.isLocal(forwarded),
            host == "localhost" || Self.isLocal(host)
        else { throw HTTPError(.notFound) }
        return try await next(request, context)
    }

    private static func isLocal(_ address: (some StringProtocol)?) -> Bool {
        guard let address else { return false }
        return address == "::1" || address == "[::1]" || address == "127.0.0.1"
    }

    private static func host(_ authority: String) -> String {
        String(
            authority.hasPrefix("[") ? authority.prefix { $0 != "]" } + "]" : authority.prefix { $0 != ":" }
        )
    }
}
