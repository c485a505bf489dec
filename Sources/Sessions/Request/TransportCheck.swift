// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Synchronization

/// Notices that the cookie does not fit the way in which requests arrive, and says so once each.
///
/// Nothing is decided by it: a proxy may end TLS without saying so, and the fields can be forged.
final class TransportCheck: Sendable {
    private struct Said {
        var development = false
        var dropped = false
        /// The last authority that is this machine, so that it is not taken apart for each request.
        var loopback: String?
    }

    private let events: SessionEventSink
    private let said = Mutex(Said())

    init(events: SessionEventSink) { self.events = events }

    /// Looks at a request that used its session.
    ///
    /// - Parameters:
    ///   - request: the request.
    ///   - cookie: the manager's cookie.
    ///   - isSent: whether the response carries the cookie.
    func note(_ request: HTTPRequest, _ cookie: SessionCookie, isSent: Bool) {
        if !cookie.isSecure {
            let isChecked = said.withLock { said in
                said.development || said.loopback != nil && said.loopback == request.authority
            }
            guard !isChecked, let host = Self.host(request) else { return }
            guard !Self.isLoopback(host) else { return said.withLock { $0.loopback = request.authority } }
            once(
                \.development,
                "the session cookie is not Secure and a request came to a host other than loopback: anyone on the network can take over its sessions; use the default cookie and TLS"
            )
        } else if isSent, request.scheme == "http", !said.withLock({ $0.dropped }) {
            guard let host = Self.host(request), !Self.isLoopback(host),
                !Self.cameOverTLS(request.headerFields)
            else { return }
            once(
                \.dropped,
                "a Secure session cookie was sent over plain HTTP: browsers drop it, and each request makes another session; use TLS (a proxy that ends it should set X-Forwarded-Proto), or SessionCookie.plainHTTP() for development"
            )
        }
    }

    private func once(_ flag: WritableKeyPath<Said, Bool>, _ detail: String) {
        let isFirst = said.withLock { said in
            defer { said[keyPath: flag] = true }
            return !said[keyPath: flag]
        }
        if isFirst { events.emit(SessionEvent(.misconfigured, detail: detail)) }
    }

    /// The host without its port; nil when the request names none.
    private static func host(_ request: HTTPRequest) -> Substring? {
        let authority = request.authority ?? HTTPField.Name("Host").flatMap { request.headerFields[$0] }
        guard let authority, !authority.isEmpty else { return nil }
        guard authority.hasPrefix("[") else { return authority.prefix { $0 != ":" } }
        return authority.prefix { $0 != "]" }.dropFirst()
    }

    /// Whether requests to a host stay on this machine, so that browsers treat them as secure.
    private static func isLoopback(_ host: Substring) -> Bool {
        let host = host.lowercased()
        return host == "localhost" || host.hasSuffix(".localhost") || host == "::1"
            || host.hasPrefix("127.") && host.utf8.allSatisfy { (0x30...0x39).contains($0) || $0 == 0x2E }
    }

    private static func cameOverTLS(_ fields: HTTPFields) -> Bool {
        let forwarded = [("X-Forwarded-Proto", "https"), ("Forwarded", "proto=https")]
        return forwarded.contains { name, mark in
            guard let name = HTTPField.Name(name), let value = fields[name] else { return false }
            return value.lowercased().filter { $0 != "\"" }.contains(mark)
        }
    }
}
