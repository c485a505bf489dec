// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
public import HTTPTypes
import Synchronization

/// One request and its response: loads the session when asked, commits it, writes the header fields.
///
/// A request that never asks costs nothing and its response stays as it is, cacheable included (R73).
public final class RequestSession: Sendable {
    private let manager: SessionManager
    private let request: HTTPFields
    private let reading: CookieLookup
    private let state = Mutex(State())

    private struct State {
        var session: Session?
        /// The handler asked for the session, even if the store could not be reached.
        var isTouched = false
        var isClosed = false
    }

    init(_ request: HTTPFields, manager: SessionManager) {
        self.manager = manager
        self.request = request
        reading = manager.cookie.read(request)
    }

    /// The manager behind this exchange, for lists and revocations.
    public var sessions: SessionManager { manager }

    /// The session of this request; the same object each time.
    ///
    /// One round trip the first time, none without a cookie.
    ///
    /// A client without a session, or with one that is over, gets an anonymous one that is stored once
    /// something is in it.
    ///
    /// - Throws: `.storeUnavailable`: then nothing is known about the client, and no cookie is touched (R81).
    public func session() async throws(SessionError) -> Session {
        let (known, isClosed) = state.withLock { state in
            state.isTouched = true
            return (state.session, state.isClosed)
        }
        if let known { return known }
        guard !isClosed else {
            throw SessionError(.closed, "The response is on its way; ask for the session in the handler.")
        }
        let loaded = Session(try await load(), manager: manager)
        return state.withLock { state in
            // Two tasks of one handler may both have come here; the first one to finish counts. After the
            // commit none does.
            if state.isClosed { loaded.state.withLock { $0.isClosed = true } }
            let session = state.session ?? loaded
            state.session = session
            return session
        }
    }

    /// Commits the session, if there is one, and writes `Set-Cookie`, `Cache-Control` and `Vary`.
    ///
    /// At most one round trip,
    /// two when a session ends and another starts in the same request.
    ///
    /// Call it exactly once, when the handler has returned and before the response head leaves. If it throws,
    /// the response must not be sent: nothing was stored.
    ///
    /// - Throws: `.storeUnavailable`, `.conflict`, `.tooLarge`, `.invalidValue`.
    public func close(_ response: inout HTTPResponse) async throws {
        let (session, isTouched) = end()
        guard let session else {
            if isTouched { markPersonal(&response) }
            return
        }
        var exposure = CacheControl.Exposure.touched
        let delivery = try await manager.commit(
            session,
            canSetCookie: SessionCookie.isPermitted(on: response.status)
        )
        let fields = try fields(for: delivery)
        if !fields.isEmpty, manager.cookie.write(fields, to: &response) { exposure = .cookieSet }
        CacheControl.apply(to: &response.headerFields, exposure: exposure)
    }

    /// Closes the session without storing anything: for handlers that failed.
    ///
    /// - Returns: whether the handler had touched the session, so that its answer must not be cached.
    public func abandon() -> Bool {
        let (session, isTouched) = end()
        session?.state.withLock { $0.isClosed = true }
        return isTouched
    }

    private func end() -> (Session?, isTouched: Bool) {
        state.withLock { state in
            state.isClosed = true
            return (state.session, state.isTouched)
        }
    }

    /// Tells caches that a response depends on the session.
    ///
    /// `close` does it by itself; for answers to failures.
    public func markPersonal(_ response: inout HTTPResponse) {
        CacheControl.apply(to: &response.headerFields, exposure: .touched)
    }

    private func fields(for delivery: SessionManager.Delivery) throws(SessionError) -> [String] {
        switch delivery {
        case .keep, .dropped: []
        case .send(let value, let remaining):
            try manager.cookie.setFields(
                value: value,
                remainingLifetime: remaining,
                now: Date(),
                replacing: request
            )
        case .delete: manager.cookie.deletionFields(replacing: request)
        }
    }

    private func load() async throws(SessionError) -> SessionLoadResult? {
        switch reading {
        case .absent: return nil
        case .value(let value): return try await manager.load(SessionCredential(value))
        case .ambiguous: manager.events.emit(.ambiguous)
        case .overLimit: manager.events.emit(.malformed, nil, detail: "the Cookie header is too long")
        case .malformed: manager.events.emit(.malformed)
        }
        return nil
    }
}

/// The request's cookies are secrets: they must not show when somebody dumps the exchange (R75).
extension RequestSession: CustomReflectable {
    /// Shows nothing.
    public var customMirror: Mirror { Mirror(self, children: []) }
}
