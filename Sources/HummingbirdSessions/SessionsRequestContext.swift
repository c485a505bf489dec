// SPDX-License-Identifier: Apache-2.0

public import Hummingbird
import Logging
public import NIOCore
public import Sessions

/// A request context with a place for the session.
///
/// Conform your own context by adding the one stored property.
public protocol SessionsRequestContext: RequestContext {
    /// Set by `SessionsMiddleware`; start with nil.
    var requestSession: RequestSession? { get set }
    /// The other end of the connection, for events and `SessionManager.mayCreate`; nil, unless the context has it.
    var remoteAddress: SocketAddress? { get }
}

extension SessionsRequestContext {
    /// Nil: the context does not keep it.
    public var remoteAddress: SocketAddress? { nil }
}

extension SessionsRequestContext {
    /// Returns the session of this request; the same object each time.
    ///
    /// One round trip to the store at the first call, none for a client without a cookie. See
    /// `RequestSession.session()`.
    ///
    /// - Parameter isPassive: whether this is no use of the session, so that the idle timeout goes on: for polling.
    /// - Returns: the session, anonymous if the client has none.
    /// - Throws: `.storeUnavailable`, which becomes a 503 with `Retry-After` if it is not handled;
    ///   `.invalidConfiguration` when no `SessionsMiddleware` stands before the route, which becomes a 500.
    public func session(isPassive: Bool = false) async throws(SessionError) -> Session {
        try await present().session(isPassive: isPassive)
    }

    /// The manager, for lists of sessions and revocations.
    ///
    /// Throws as `session()` does.
    public var sessionManager: SessionManager {
        get throws(SessionError) { try present().manager }
    }

    private func present() throws(SessionError) -> RequestSession {
        if let requestSession { return requestSession }
        let error = SessionError(
            .invalidConfiguration,
            "There is no SessionsMiddleware before this route; add it to the router first."
        )
        logger.error("\(error)")
        throw error
    }
}

/// The ready-made context for applications that need nothing else in it.
public struct BasicSessionsRequestContext: SessionsRequestContext, RemoteAddressRequestContext {
    /// What Hummingbird keeps.
    public var coreContext: CoreRequestContextStorage
    /// Set by `SessionsMiddleware`.
    public var requestSession: RequestSession?
    /// The other end of the connection; nil for a request that came without one, in a test.
    public let remoteAddress: SocketAddress?

    /// Called by Hummingbird for each request.
    public init(source: Source) {
        coreContext = CoreRequestContextStorage(source: source)
        remoteAddress = source.channel.remoteAddress
    }
}
