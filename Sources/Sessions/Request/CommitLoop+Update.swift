// SPDX-License-Identifier: Apache-2.0

/// Commits during a request.
extension CommitLoop {
    /// Commits an update of one attribute while its handler waits, together with those of other requests.
    ///
    /// One round trip, and one more for each conflict. Not interrupted by cancellation.
    ///
    /// - Parameters:
    ///   - update: changes the value of the attribute.
    ///   - name: the attribute.
    ///   - entries: what the request has done to the attribute before.
    ///   - record: the session as it was read.
    ///   - credential: what the client presented.
    ///   - events: reports about the client.
    /// - Returns: what was committed.
    /// - Throws: `.sessionChanged` when the session is over, `.storeUnavailable`, `.conflict`, `.tooLarge`, and what
    ///   `update` throws.
    func commit(
        _ update: @escaping PendingChanges.Update,
        of name: String,
        after entries: [PendingChanges.Entry],
        to record: SessionRecord,
        credential: SessionCredential?,
        events: SessionEventSink
    ) async throws -> CommittedUpdate {
        let value = LastRun<[UInt8]?>()
        var changes = PendingChanges(base: record.attributes)
        for entry in entries { try changes.append(entry) }
        try changes.append(
            .update(name) { before in
                let after = try update(before)
                value.value = after
                return after
            }
        )
        do {
            try limits.check(changes.attributes, replacing: record.attributes)
            let change = SessionChange(
                operations: changes.operations,
                needsVersion: true,
                policy: policy,
                maximumBytes: limits.bytes,
                idleTimeout: policy.idleTimeout(after: changes.operations, on: record)
            )
            let commit = CombinedCommit(store: store, limits: limits, queue: queue, events: events)
            let (answer, _, after) = try await commit.run(
                CommitQueue.Member(changes, change),
                to: record,
                in: CommitQueue.Line(record, credential)
            )
            guard case .committed(let id, let version, let credential, let remaining) = answer else {
                events.emit(SessionEvent(.dropped, record.id))
                throw SessionError.sessionChanged
            }
            return CommittedUpdate(
                id: id,
                version: version,
                name: name,
                value: value.value ?? nil,
                entries: entries.count,
                after: after,
                credential: credential,
                remaining: remaining
            )
        } catch {
            report(error, record.id, events)
            throw error
        }
    }
}
