// SPDX-License-Identifier: Apache-2.0

/// Commits the changes of one request, and of those that wait in line behind it, as one change.
struct CombinedCommit: Sendable {
    let store: any SessionStore
    let limits: SessionLimits
    let queue: CommitQueue
    /// Is told of a new secret that too few copies have.
    let events: SessionEventSink

    /// How often one request tries to commit a change that depends on what it read.
    ///
    /// One request of each process competes at a time; the chance to lose that often against two processes is below
    /// one in 10^11.
    static let limit = 64

    /// Commits, or waits until another request has done it.
    ///
    /// - Parameters:
    ///   - member: what to commit.
    ///   - record: the record that it was made for.
    ///   - line: the line for this record.
    /// - Returns: the store's answer, never a conflict; whether another request got it too; and the record after the
    ///   commit, if no other request has changed it in between.
    /// - Throws: `.storeUnavailable`, `.conflict`, `.tooLarge`, and what the closures of updates throw.
    func run(
        _ member: CommitQueue.Member,
        to record: SessionRecord,
        in line: CommitQueue.Line
    ) async throws -> (SessionCommitResult, isShared: Bool, after: SessionRecord?) {
        var base = record
        if !queue.exists(line) {
            let answer = try await store.commit(member.change, to: record, reportingTo: events)
            guard case .conflict(let fresh) = answer else {
                return (answer, false, member.after(answer, record))
            }
            base = fresh
        }
        switch await queue.enter(line, member) {
        case .done(let outcome): return (try outcome.get(), true, nil)
        case .lead(let known):
            if let known, known.version > base.version { base = known }
            let (outcome, after) = await lead(member, madeFor: record, from: base, line)
            queue.leave(line, after: after)
            return (try outcome.get(), false, after)
        }
    }

    /// Returns what became of the member, and the record as it is now, if it is known.
    private func lead(
        _ leader: CommitQueue.Member,
        madeFor record: SessionRecord,
        from start: SessionRecord,
        _ line: CommitQueue.Line
    ) async -> (Result<SessionCommitResult, any Error>, SessionRecord?) {
        let end = ContinuousClock.now + queue.patience
        var base = start
        var members = [leader]
        var own: Result<SessionCommitResult, any Error>?
        func finish(_ member: CommitQueue.Member, _ outcome: Result<SessionCommitResult, any Error>) {
            if member === leader { own = outcome } else { member.resume(.done(outcome)) }
        }
        for attempt in (base.version == record.version ? 1 : 2)... {
            members += queue.followers(line)
            var change = leader.change
            var attributes = leader.changes.attributes
            // Alone, and nobody was faster: the closures of its updates need not run again.
            if members.count > 1 || base.version != record.version {
                attributes = base.attributes
                members.removeAll { member in
                    do {
                        let next = try member.changes.replayed(on: attributes).attributes
                        try limits.check(next, replacing: attributes)
                        attributes = next
                        return false
                    } catch {
                        finish(member, .failure(error))
                        return true
                    }
                }
                guard !members.isEmpty else { break }
                change.operations = Self.operations(from: base.attributes, to: attributes)
                change.idleTimeout = members.lazy.compactMap(\.change.idleTimeout).first
                change.rotation = members.contains { $0.change.rotation == .renew } ? .renew : .none
            }
            let outcome: Result<SessionCommitResult, any Error>
            do throws(SessionError) {
                let answer = try await store.commit(change, to: base, reportingTo: events)
                if case .conflict(let fresh) = answer {
                    base = fresh
                    guard attempt >= Self.limit || ContinuousClock.now > end else { continue }
                    throw SessionError(
                        .conflict,
                        "Other requests changed the session \(attempt) times in a row; nothing was stored."
                    )
                }
                outcome = .success(answer)
            } catch { outcome = .failure(error) }
            members.forEach { finish($0, outcome) }
            if case .success(.committed(_, let version, let credential, _)) = outcome, credential == nil {
                base.version = version
                base.attributes = attributes
                return (own ?? outcome, base)
            }
            return (own ?? outcome, nil)
        }
        let nothing = SessionError(.conflict, "Nothing was stored.")
        return (own ?? .failure(nothing), base)
    }

    /// Returns the operations that make one state of the attributes of another.
    private static func operations(
        from old: [String: [UInt8]],
        to new: [String: [UInt8]]
    ) -> [String: SessionChange.Operation] {
        var operations: [String: SessionChange.Operation] = [:]
        for (name, value) in new where old[name] != value { operations[name] = .set(value) }
        for name in old.keys where new[name] == nil { operations[name] = .remove }
        return operations
    }
}

extension CommitQueue.Member {
    /// The record after the commit of this change alone; nil when something else may have changed it, too.
    fileprivate func after(_ answer: SessionCommitResult, _ record: SessionRecord) -> SessionRecord? {
        guard change.needsVersion, change.rotation == .none, case .committed(_, let version, _, _) = answer
        else {
            return nil
        }
        var after = record
        after.version = version
        after.attributes = changes.attributes
        return after
    }
}
