// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Hummingbird
import HummingbirdSessions

// The code of the guide "Deploying behind a balancer".

extension HTTPField.Name {
    static var forwardedFor: Self { Self("X-Forwarded-For")! }
}

/// The address that the nearest proxy has seen: the last one in the field.
///
/// What stands before it, the client has sent.
func proxiedClient(_ request: Request) -> String? {
    request.headers[values: .forwardedFor].last?.split(separator: ",").last
        .map { $0.filter { $0 != " " } }
}

func makeProxiedSite(
    sessions: SessionManager,
    isDraining: @escaping @Sendable () -> Bool
) -> Router<BasicSessionsRequestContext> {
    let router = Router(context: BasicSessionsRequestContext.self)
    router.get("/healthz") { _, _ in
        Response(status: isDraining() ? .serviceUnavailable : .ok)
    }
    router.get("/readyz") { _, _ in
        do { try await sessions.store.check() } catch {
            return Response(status: .serviceUnavailable, headers: [.retryAfter: "1"])
        }
        return Response(status: .ok)
    }
    router.add(middleware: CrossOriginProtectionMiddleware())
    router.add(
        middleware: SessionsMiddleware(
            sessions,
            client: { request, _ in proxiedClient(request) }
        )
    )
    return router
}
