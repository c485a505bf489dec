// SPDX-License-Identifier: Apache-2.0

public import HTTPTypes
public import Logging
import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The session of one request and its response: loads it when asked, commits it, writes the header fields.
///
/// For adapters; for a server without one, `SessionManager.respond` does all of this. Create one when a request
/// arrives, give the handler `session()`, and call `close` before the response head is sent, or `closeAfterFailure` when
/// the handler failed. A request whose handler never asks costs nothing, and its response stays as it is, cacheable
/// included (R73).
public final class RequestSession: Sendable {
    /// The manager behind this request, for lists and revocations.
    public let manager: SessionManager
    private let request: HTTPRequest
    private let events: SessionEventSink
    private let state = Mutex(State())
    private let announced: RequestIdentity

    private struct State {
        var cookies: SessionCookie.Lookup?
        var session: Session?
        /// The handler asked for the session, even if the store could not be reached.
        var isTouched = false
        var isClosed = false
        /// Whether the handler was run by `run`.
        var isAnnounced = false
    }

    /// Reads nothing until the handler asks for the session.
    ///
    /// Host and path tell which other cookies of the session's name the browser may hold, the method whether
    /// a change may be dropped and whether the response shows anything, and the scheme whether a `Secure` cookie can
    /// work.
    ///
    /// - Parameters:
    ///   - request: the head of the request.
    ///   - manager: what sessions are made of.
    ///   - client: the client's address, where the server or a proxy that is trusted tells it: for events and
    ///     `mayCreate`. Asked for when it is needed.
    ///   - logger: the logger of the request; its metadata, such as the request's ID, is added to what the manager's logger
    ///     writes about this request.
    public init(
        _ request: HTTPRequest,
        manager: SessionManager,
        client: @autoclosure @escaping @Sendable () -> String? = nil,
        logger: Logger? = nil
    ) {
        self.manager = manager
        self.request = request
        events = manager.events.about(client, logger)
        announced = RequestIdentity(logger: logger)
    }

    /// What the request says about the session cookie, read once.
    private var cookies: SessionCookie.Lookup {
        state.withLock { state in
            if let known = state.cookies { return known }
            let cookies = manager.cookie.read(request.headerFields, isDivided: manager.store.dividesCookie)
            state.cookies = cookies
            return cookies
        }
    }

    /// Whether the handler asked for the session, even if the store could not be reached.
    var isTouched: Bool { state.withLock { $0.isTouched } }

    /// The method promises to change nothing.
    private var isSafe: Bool { [.get, .head, .options, .trace].contains(request.method) }

    /// A person follows a link or submits a form, as far as the browser says; not a script or a part of a page.
    private var isNavigation: Bool {
        let mode = request.headerFields[.fetchMode]
        return mode == nil || mode == "navigate"
    }

    /// Returns the session of this request; the same object each time.
    ///
    /// One round trip the first time, none without a cookie. A client without a session, or with one that is
    /// over, gets an anonymous one, which is stored once it holds something.
    ///
    /// - Parameter isPassive: whether this is no use of the session, for example a page that polls by itself: the
    ///   idle timeout is not restarted then, unless the session is changed or asked for in the same request without
    ///   it.
    /// - Returns: the session; closed if the response head was sent in the meantime.
    /// - Throws: `.storeUnavailable`: nothing is known about the client then, and no cookie is touched (R81);
    ///   `.closed` after the response head.
    public func session(isPassive: Bool = false) async throws(SessionError) -> Session {
        let (known, isClosed) = state.withLock { state in
            state.isTouched = true
            return (state.session, state.isClosed)
        }
        if let known {
            if !isPassive, known.isPassive {
                known.isPassive = false
                known.beginUse()
            }
            return known
        }
        guard !isClosed else {
            throw SessionError(.closed, "The response is on its way; ask for the session in the handler.")
        }
        let loaded = try await load()
        return state.withLock { state in
            // Two tasks of one handler may both be here: the first to finish counts, after the commit neither.
            if state.isClosed { _ = loaded.close() }
            let session = state.session ?? loaded
            session.isPassive = isPassive && (state.session == nil || session.isPassive)
            state.session = session
            if !session.isPassive, !state.isClosed { session.beginUse() }
            return session
        }
    }

    /// Runs the handler, so that the manager can tell what it ends itself, by `revokeAll`, from what other requests end
    /// meanwhile; see `Session.signIn`.
    ///
    /// Without it, the manager takes for the request's own what this process ends without it.
    ///
    /// - Parameter handler: runs in the caller's isolation.
    /// - Returns: what `handler` returns.
    /// - Throws: what `handler` throws.
    public nonisolated(nonsending) func run<Result>(
        _ handler: nonisolated(nonsending) () async throws -> Result
    ) async rethrows -> Result {
        state.withLock { $0.isAnnounced = true }
        return try await RequestIdentity.$current.withValue(announced, operation: handler)
    }

    private var identity: RequestIdentity {
        var identity = announced
        if !state.withLock({ $0.isAnnounced }) { identity.number = nil }
        return identity
    }

    /// Commits the session, if the handler asked for it, and writes the response's header fields.
    ///
    /// Call it when the handler has returned and before the response head is sent; only the first call
    /// commits. If it throws, the response must not be sent: no change was stored, except that a sign-out may
    /// have happened. At most one round trip, two for a sign-in, one more when a session ends and another starts
    /// in the same request, and one more for each conflict.
    ///
    /// A 2xx answer to an unsafe method therefore means: stored. With a safe method (GET, HEAD, OPTIONS, TRACE)
    /// changes that the end of the session overtook are dropped and reported as an event, and the response stands;
    /// not so a sign-in or `elevate`, which throws in any case.
    ///
    /// A cookie that stands for no session any more is deleted, except in requests of scripts and parts of pages
    /// (by `Sec-Fetch-Mode`), which may overlap with one that brings the browser a new session.
    ///
    /// Writes `Set-Cookie` where needed. If the session was asked for, also `Vary: Cookie` and
    /// `Cache-Control`, sets an existing `Expires` to 0 and removes fields that would overrule
    /// `Cache-Control` (`CDN-Cache-Control` and the like); after a sign-out `Clear-Site-Data`, see
    /// `SessionCookie.hidesPagesAfterSignOut`. Of several cookies with the session's name, all are deleted,
    /// except one that is set.
    ///
    /// A status of 1xx or 304 cannot carry a cookie: no session is created then, no secret replaced, and a
    /// change of a session that is kept in the cookie is dropped and reported as an event.
    ///
    /// - Parameter response: the head of the response, complete but for these fields.
    /// - Throws: `.sessionChanged`, `.storeUnavailable`, `.storeFull`, `.creationRefused`, `.conflict`, `.tooLarge`, `.invalidValue`, `.unsupported`,
    ///   `.noSession` for a sign-in that cannot be sent, and what the closures of updates throw.
    public func close(_ response: inout HTTPResponse) async throws {
        let (session, isTouched) = closed()
        guard let session else {
            if isTouched { markPersonal(&response) }
            return
        }
        if !isShown(response.status) { try session.keepUnshown() }
        let canSetCookie = SessionCookie.isPermitted(on: response.status)
        let action: CookieAction
        if let unchanged = await manager.commitUnchanged(session, canSetCookie: canSetCookie) {
            action = unchanged
        } else {
            action = try await commit(session, canSetCookie: canSetCookie)
        }
        if case .dropped = action, !isSafe || session.isDecisive { throw SessionError.sessionChanged }
        write(try fields(for: action), of: action, session, to: &response)
    }

    /// Closes the session of a handler that failed, and writes the header fields of the error's response.
    ///
    /// Stores nothing but a sign-out, and what `Session.keepChangesOnError` asks for: no round trip without them.
    /// After `close` has thrown, it stores nothing.
    ///
    /// - Parameter response: the head of the response to the error; see `close`.
    /// - Returns: whether the handler had asked for the session; if not, the response was not changed.
    /// - Throws: what `close` throws, but `.sessionChanged`: the error's own response stands then.
    @discardableResult
    public func closeAfterFailure(_ response: inout HTTPResponse) async throws -> Bool {
        let (session, isTouched) = closed()
        guard let session else {
            if isTouched { markPersonal(&response) }
            return isTouched
        }
        let action = try await manager.commit(
            session,
            canSetCookie: SessionCookie.isPermitted(on: response.status),
            afterFailure: true,
            of: identity
        )
        guard let action else {
            markPersonal(&response)
            return true
        }
        write(try fields(for: action), of: action, session, to: &response)
        return true
    }

    /// Tells caches that a response depends on the session, and deletes the cookies if there were several of
    /// the session's name.
    private func markPersonal(_ response: inout HTTPResponse) {
        // After a failure of the server nothing is known, and no cookie is touched.
        let fields = response.status.kind == .serverError ? [] : (try? fields(for: .keep)) ?? []
        write(fields, of: .keep, state.withLock { $0.session }, to: &response)
    }

    private func write(
        _ fields: [String],
        of action: CookieAction,
        _ session: Session?,
        to response: inout HTTPResponse
    ) {
        let hidesPages = manager.cookie.hidesPagesAfterSignOut
        let isSignOut = session?.isSignOut == true
        let isSet = !fields.isEmpty && manager.cookie.write(fields, to: &response)
        let isPersonal = isSet || isSignOut || hidesPages && session?.principal != nil
        CacheControl.apply(to: &response.headerFields, exposure: isPersonal ? .cookieSet : .touched)
        if isSignOut, hidesPages, manager.cookie.isSecure { CacheControl.clear(&response.headerFields) }
        let isSent = if case .send = action { true } else { false }
        manager.transport.note(request, manager.cookie, isSent: isSent)
    }

    /// Whether a browser shows the body of the response.
    private func isShown(_ status: HTTPResponse.Status) -> Bool {
        SessionCookie.isPermitted(on: status) && ![.noContent, .resetContent].contains(status)
            && request.method != .head
    }

    private func commit(_ session: Session, canSetCookie: Bool) async throws -> CookieAction {
        do {
            return try await manager.commit(session, canSetCookie: canSetCookie, of: identity) ?? .keep
        } catch let error as SessionError
            where error.code == .unsupported && !canSetCookie && !session.isSignOut && isSafe
        {
            // As for a visitor who has no session yet: the page goes out, and what could not be stored is told.
            events.emit(
                SessionEvent(.dropped, session.id, detail: "the response's status carries no cookie")
            )
            return .dropped
        } catch let error as SessionError where error.code == .creationRefused && isSafe {
            // The event tells it; a page that anybody may read is no reason for an error.
            return .dropped
        }
    }

    /// Takes no more calls of `session`; returns the session, the first time.
    private func closed() -> (Session?, isTouched: Bool) {
        state.withLock { state in
            defer { state.isClosed = true }
            return (state.isClosed ? nil : state.session, state.isTouched)
        }
    }

    private func load() async throws(SessionError) -> Session {
        let cookies = cookies
        switch cookies.value {
        case .absent: break
        case .value(let value): return try await manager.load(SessionCredential(value), events)
        case .ambiguous: events.emit(SessionEvent(.ambiguous))
        case .overLimit:
            events.emit(SessionEvent(.malformed, detail: "the Cookie header is too long"))
        case .malformed: events.emit(SessionEvent(.malformed))
        }
        return manager.anonymous(events)
    }

    private func fields(for action: CookieAction) throws(SessionError) -> [String] {
        let cookies = cookies
        let fields: [String]
        switch action {
        case .keep, .dropped:
            guard cookies.value == .ambiguous else { return [] }
            fields = manager.cookie.deletionFields(replacing: cookies.chunks)
        case .send(let credential, let remaining, let persistence):
            var cookie = manager.cookie
            cookie.persistence = persistence ?? cookie.persistence
            fields = try cookie.setFields(
                value: credential.value,
                remainingLifetime: remaining,
                now: Date(),
                replacing: cookies.chunks,
                isDivided: manager.store.dividesCookie
            )
        case .deleteDead where !isNavigation: return []
        case .delete, .deleteDead: fields = manager.cookie.deletionFields(replacing: cookies.chunks)
        }
        guard cookies.isRepeated else { return fields }
        let variants = manager.cookie.variantDeletionFields(
            of: cookies.chunks,
            authority: request.authority,
            target: request.path,
            beside: fields
        )
        return variants + fields
    }
}

/// The request's cookies are secrets: a dump of the request must not show them (R75).
extension RequestSession: CustomReflectable {
    /// Shows nothing.
    public var customMirror: Mirror { Mirror(self, children: []) }
}

extension HTTPField.Name {
    /// Why the browser sends the request.
    fileprivate static let fetchMode = Self("Sec-Fetch-Mode")!
}
