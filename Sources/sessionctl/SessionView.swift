// SPDX-License-Identifier: Apache-2.0

import Foundation
import RedisSessions
import Sessions

/// A session as it is printed.
///
/// The names are those of the JSON and stay; more may come.
struct SessionView: Encodable {
    let id: String
    let version: Int
    let signedIn: Bool
    let created: String
    let lastUsed: String
    /// Missing in an anonymous session.
    let authenticated: String?
    let secretIssued: String
    /// When it ends if it is not used again.
    let expires: String
    /// When it ends at the latest.
    let deadline: String
    let idleTimeoutSeconds: Double
    let secondsLeft: Double
    let attributes: [PrintedAttribute]

    /// - Parameters:
    ///   - session: what is stored.
    ///   - names: the attributes to show; all when nil.
    init(_ session: StoredSession, attributes names: [String]? = nil) {
        id = "\(session.id)"
        version = session.version
        signedIn = session.isSignedIn
        created = "\(session.times.created)"
        lastUsed = "\(session.times.lastUsed)"
        authenticated = session.times.authenticated.map { "\($0)" }
        secretIssued = "\(session.times.rotated)"
        expires = "\(session.times.expiry)"
        deadline = "\(session.times.deadline)"
        idleTimeoutSeconds = session.times.idleTimeout.seconds
        secondsLeft = max(0, (session.times.expiry - session.now).seconds)
        attributes = PrintedAttribute.all(session.attributes.filter { names?.contains($0.key) ?? true })
    }
}

extension PrintedAttribute {
    /// The value for a table, shortened.
    var text: String {
        guard let value else { return "(\(bytes) bytes, not text)" }
        return value.count > 500 ? "\(value.prefix(500))… (shortened; --json has all)" : value
    }
}

extension Duration {
    /// In seconds, to the millisecond.
    var seconds: Double {
        Double(components.seconds) + Double(components.attoseconds / 1_000_000_000_000_000) / 1000
    }

    /// In the largest units that fit, for people: `2 h 5 min`.
    var text: String {
        let seconds = Int(self.seconds)
        if seconds >= 86_400 { return "\(seconds / 86_400) d \(seconds % 86_400 / 3600) h" }
        if seconds >= 3600 { return "\(seconds / 3600) h \(seconds % 3600 / 60) min" }
        if seconds >= 60 { return "\(seconds / 60) min \(seconds % 60) s" }
        return "\(seconds) s"
    }
}
