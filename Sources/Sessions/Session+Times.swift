// SPDX-License-Identifier: Apache-2.0

/// When the session was created, when its user signed in, and how long it lives.
extension Session {
    /// When the session was created, by the store's clock; nil while nothing is stored.
    public var created: SessionInstant? { read { $0.record?.times.created } }

    /// When the session was created and used, and when it ends, as this request has read it; nil while nothing is stored.
    public var times: SessionTimes? { read { $0.record?.times } }

    /// The store's time when this request read the session; the system's time while nothing is stored.
    public var now: SessionInstant { read { $0.record?.now } ?? .now }

    /// When the user signed in last, by the store's clock; nil for an anonymous session and in the request that signs
    /// in.
    ///
    /// Renewals do not change it.
    public var authenticatedAt: SessionInstant? {
        read { $0.changes.isSignIn ? nil : $0.record?.times.authenticated }
    }

    /// Returns whether the user signed in within the given time: for a step-up before what is sensitive.
    ///
    /// - Parameter time: how long ago at most.
    /// - Returns: false for an anonymous session; true in the request that signs in.
    public func isAuthenticated(within time: Duration) -> Bool {
        read { work in
            if work.changes.isSignIn { return true }
            guard let record = work.record, let authenticated = record.times.authenticated else {
                return false
            }
            return record.now - authenticated <= time
        }
    }

    /// How long the session stays valid if this request is its last use; nil while nothing is stored.
    public var expiresIn: Duration? {
        read { work in
            guard let record = work.record else { return nil }
            return min(record.now + record.times.idleTimeout, record.times.deadline) - record.now
        }
    }
}
