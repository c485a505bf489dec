// SPDX-License-Identifier: Apache-2.0

public import Hummingbird
public import Sessions

/// A request context with a place for the session.
///
/// Conform your own context by adding the one stored property.
public protocol SessionRequestContext: RequestContext {
    /// Set by `SessionMiddleware`; start with nil.
    var sessionExchange: SessionExchange? { get set }
}

extension SessionRequestContext {
    /// The session of this request; the same object each time.
    ///
    /// One round trip to the store at the first call, none for a client without a cookie. See
    /// `SessionExchange.session()`.
    ///
    /// - Throws: `SessionError` with code `.storeUnavailable`; unhandled, it becomes a 503 with
    ///   `Retry-After`.
    /// - Precondition: the route lies below a `SessionMiddleware`.
    public func session() async throws(SessionError) -> Session { try await exchange.session() }

    /// The manager, for lists of sessions and revocations.
    public var sessions: SessionManager { exchange.sessions }

    private var exchange: SessionExchange {
        guard let sessionExchange else {
            preconditionFailure("add SessionMiddleware before the routes that use a session")
        }
        return sessionExchange
    }
}

/// The ready-made context for applications that need nothing else in it.
public struct BasicSessionRequestContext: SessionRequestContext {
    /// What Hummingbird keeps.
    public var coreContext: CoreRequestContextStorage
    /// Set by `SessionMiddleware`.
    public var sessionExchange: SessionExchange?

    /// Called by Hummingbird for each request.
    public init(source: Source) { coreContext = CoreRequestContextStorage(source: source) }
}
