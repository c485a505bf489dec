// SPDX-License-Identifier: Apache-2.0

#if Telemetry

    import Metrics
    import Sessions

    /// An operation of a store, as metrics and spans name it.
    enum StoreOperation: String {
        case load, create, commit, touch, end, check, list, revoke
        case revokeAll = "revoke_all"
    }

    /// Measures another store, and forwards everything.
    struct ObservedStore<Base: SessionStore>: SessionStore {
        let base: Base
        let meter: StoreMeter

        func load(_ credential: SessionCredential) async throws(SessionError) -> SessionLoadResult {
            try await meter.measure(.load, \.outcome) { () async throws(SessionError) in
                try await base.load(credential)
            }
        }

        func create(_ draft: SessionDraft) async throws(SessionError) -> SessionCommitResult {
            let result = try await meter.measure(.create, \.outcome) { () async throws(SessionError) in
                try await base.create(draft)
            }
            if case .committed = result { meter.created.increment() }
            return result
        }

        func commit(_ change: SessionChange, to record: SessionRecord) async throws(SessionError)
            -> SessionCommitResult
        {
            let result = try await meter.measure(.commit, \.outcome) { () async throws(SessionError) in
                try await base.commit(change, to: record)
            }
            if case .conflict = result { meter.conflicts.increment() }
            return result
        }

        func touch(_ record: SessionRecord, isDue: Bool) async throws(SessionError) -> SessionCredential? {
            // Costs no I/O then: an operation without a span.
            guard isDue else { return try await base.touch(record, isDue: isDue) }
            return try await meter.measure(.touch) { () async throws(SessionError) in
                try await base.touch(record, isDue: isDue)
            }
        }

        func end(_ record: SessionRecord) async throws(SessionError) -> SessionEndResult {
            let result = try await meter.measure(.end, \.outcome) { () async throws(SessionError) in
                try await base.end(record)
            }
            if case .ended = result { meter.signedOut.increment() }
            return result
        }

        func check() async throws(SessionError) {
            try await meter.measure(.check) { () async throws(SessionError) in try await base.check() }
        }

        var dividesCookie: Bool { base.dividesCookie }

        func validate(for cookie: SessionCookie) throws(SessionError) { try base.validate(for: cookie) }
    }

    extension ObservedStore: SessionDirectory where Base: SessionDirectory {
        func sessions(of principal: String) async throws(SessionError) -> [SessionSummary] {
            try await meter.measure(.list) { () async throws(SessionError) in
                try await base.sessions(of: principal)
            }
        }

        func sessions(of principal: String, _ page: SessionPage) async throws(SessionError)
            -> [SessionSummary]
        {
            try await meter.measure(.list) { () async throws(SessionError) in
                try await base.sessions(of: principal, page)
            }
        }

        func revoke(_ id: SessionID, of principal: String) async throws(SessionError) -> Bool {
            let isRevoked = try await meter.measure(.revoke, { $0 ? .ok : .absent }) {
                () async throws(SessionError) in try await base.revoke(id, of: principal)
            }
            if isRevoked { meter.revoked.increment() }
            return isRevoked
        }

        func revokeAll(of principal: String, except kept: SessionID?) async throws(SessionError) -> Int {
            let count = try await meter.measure(.revokeAll) { () async throws(SessionError) in
                try await base.revokeAll(of: principal, except: kept)
            }
            meter.revoked.increment(by: count)
            return count
        }

        func revoke(_ id: SessionID) async throws(SessionError) {
            try await meter.measure(.revoke) { () async throws(SessionError) in try await base.revoke(id) }
            meter.stolen.increment()
        }

        func load(_ id: SessionID, of principal: String) async throws(SessionError) -> SessionLoadResult {
            try await meter.measure(.load, \.outcome) { () async throws(SessionError) in
                try await base.load(id, of: principal)
            }
        }
    }

    /// How an operation ended that did not throw.
    enum StoreOutcome: String { case ok, absent, conflict }

    extension SessionLoadResult {
        fileprivate var outcome: StoreOutcome {
            if case .found = self { .ok } else { .absent }
        }
    }

    extension SessionCommitResult {
        fileprivate var outcome: StoreOutcome {
            switch self {
            case .committed: .ok
            case .conflict: .conflict
            case .gone: .absent
            }
        }
    }

    extension SessionEndResult {
        fileprivate var outcome: StoreOutcome {
            if case .ended = self { .ok } else { .absent }
        }
    }

#endif
