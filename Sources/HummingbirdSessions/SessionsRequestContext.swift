// SPDX-License-Identifier: Apache-2.0

public import Hummingbird
public import Sessions

/// A request context with a place for the session.
///
/// Conform your own context by adding the one stored property.
public protocol SessionsRequestContext: RequestContext {
    /// Set by `SessionsMiddleware`; start with nil.
    var requestSession: RequestSession? { get set }
}

extension SessionsRequestContext {
    /// The session of this request; the same object each time.
    ///
    /// One round trip to the store at the first call, none for a client without a cookie. See
    /// `RequestSession.session()`.
    ///
    /// - Throws: `SessionError` with code `.storeUnavailable`; unhandled, it becomes a 503 with
    ///   `Retry-After`.
    /// - Precondition: the route lies below a `SessionsMiddleware`.
    public func session() async throws(SessionError) -> Session { try await exchange.session() }

    /// The manager, for lists of sessions and revocations.
    public var sessions: SessionManager { exchange.sessions }

    private var exchange: RequestSession {
        guard let requestSession else {
            preconditionFailure("add SessionsMiddleware before the routes that use a session")
        }
        return requestSession
    }
}

/// The ready-made context for applications that need nothing else in it.
public struct BasicSessionsRequestContext: SessionsRequestContext {
    /// What Hummingbird keeps.
    public var coreContext: CoreRequestContextStorage
    /// Set by `SessionsMiddleware`.
    public var requestSession: RequestSession?

    /// Called by Hummingbird for each request.
    public init(source: Source) { coreContext = CoreRequestContextStorage(source: source) }
}
