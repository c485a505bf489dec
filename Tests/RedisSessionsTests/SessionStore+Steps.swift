// SPDX-License-Identifier: Apache-2.0

import RedisSessions

/// What requests do to a store, one step each.
extension SessionStore {
    /// Creates a session and gives its credential.
    func start(
        _ attributes: [String: String] = [:],
        as principal: String? = nil,
        policy: SessionPolicy = SessionPolicy()
    ) async throws -> SessionCredential {
        let draft = SessionDraft(
            attributes: attributes.mapValues { Array($0.utf8) },
            principal: principal,
            policy: policy
        )
        return try await create(draft).newCredential()
    }

    /// Signs a user in and gives the new credential.
    func signIn(
        _ credential: SessionCredential,
        as principal: String,
        policy: SessionPolicy = SessionPolicy()
    ) async throws -> SessionCredential {
        let change = SessionChange(
            operations: [:],
            rotation: .signIn(principal: principal, keeping: ["item"]),
            policy: policy
        )
        return try await commit(change, to: try await found(credential)).newCredential()
    }

    /// Renews the secret and gives the new credential.
    func renew(_ credential: SessionCredential) async throws -> SessionCredential {
        let change = SessionChange(operations: [:], rotation: .renew, policy: SessionPolicy())
        return try await commit(change, to: try await found(credential)).newCredential()
    }

    /// Why there is no session for a credential; nil when there is one.
    func absence(_ credential: SessionCredential) async throws -> SessionAbsence? {
        if case .absent(let absence) = try await load(credential) { absence } else { nil }
    }

    /// The user whom a credential stands for; nil when there is no session or no user.
    func user(_ credential: SessionCredential) async throws -> String? {
        if case .found(let record) = try await load(credential) { record.principal } else { nil }
    }

    /// What a credential's session holds under a name; nil when there is none.
    func text(_ name: String, _ credential: SessionCredential) async throws -> String? {
        guard case .found(let record) = try await load(credential) else { return nil }
        return record.attributes[name].map { String(decoding: $0, as: UTF8.self) }
    }
}

extension SessionCommitResult {
    /// The credential that it gave out.
    func newCredential() throws -> SessionCredential {
        guard case .committed(_, _, let credential?, _) = self else {
            throw SessionError(.noSession, "no credential: \(self)")
        }
        return credential
    }

    /// Why nothing was stored; nil when it was.
    var absence: SessionAbsence? { if case .gone(let absence) = self { absence } else { nil } }
}
