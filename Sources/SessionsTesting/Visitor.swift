// SPDX-License-Identifier: Apache-2.0

package import HTTPTypes
package import Sessions
import Synchronization

/// A browser in front of a manager, without a network: each request carries the cookies that the jar would
/// send.
package final class Visitor: Sendable {
    private let manager: SessionManager
    private let jar: Mutex<CookieJar>
    private let place: CookieJar.Location

    /// A visitor with the cookies of `jar`; none by default.
    package init(_ manager: SessionManager, jar: CookieJar = CookieJar()) {
        self.manager = manager
        self.jar = Mutex(jar)
        place = CookieJar.Location(host: "shop.example", isSecure: manager.cookie.isSecure)
    }

    /// The cookies as they are now.
    package var cookies: CookieJar {
        get { jar.withLock { $0 } }
        set { jar.withLock { $0 = newValue } }
    }

    /// The `Cookie` field of the next request; nil without cookies.
    package var cookieField: String? { jar.withLock { $0.cookieField(for: place) } }

    /// The value of the session cookie, put together from its parts; nil when there is none or the manager
    /// would not read it.
    package var credential: SessionCredential? {
        guard case .value(let value) = manager.cookie.read(fields).value else { return nil }
        return SessionCredential(value)
    }

    /// The request that is under way: what the browser sent with it does not change any more.
    package func request() -> HTTPFields { fields }

    /// One request from its first to its last byte.
    @discardableResult
    package func send(
        _ request: HTTPFields? = nil,
        status: HTTPResponse.Status = .ok,
        _ handler: (Session) async throws -> Void = { _ in }
    ) async throws -> HTTPResponse {
        let exchange = RequestSession(request ?? fields, manager: manager)
        var response = HTTPResponse(status: status)
        try await handler(try await exchange.session())
        try await exchange.close(&response)
        jar.withLock { $0.receive(response.headerFields, from: place) }
        return response
    }

    private var fields: HTTPFields { cookieField.map { [.cookie: $0] } ?? [:] }
}
