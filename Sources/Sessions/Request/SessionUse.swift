// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// A request's use of a stored session: restarts its idle timeout, however long the handler runs.
final class SessionUse: Sendable {
    private let store: any SessionStore
    /// The record as it was read; for a session in a cookie that was kept alive, what replaces its `storeContext`.
    ///
    /// In a mutex, which `dump` does not open.
    private let state: Mutex<(record: SessionRecord, context: (any Sendable)?)>

    init(_ record: SessionRecord, in store: any SessionStore) {
        self.store = store
        state = Mutex((record, nil))
    }

    var record: SessionRecord { state.withLock { $0.record } }

    /// How long the session lives from the moment at which it was read, if it is not used again.
    var millisecondsLeft: Int64 {
        state.withLock { $0.record.times.expiry.milliseconds - $0.record.now.milliseconds }
    }

    /// Restarts the idle timeout; see `Session.keepAlive`.
    func keepAlive() async throws(SessionError) {
        let record = record
        let credential = try await store.touch(kept(record), isDue: true)
        guard record.residence != .server, let credential,
            case .found(let fresh) = try await store.load(credential), fresh.residence == record.residence
        else { return }
        state.withLock { $0.context = fresh.storeContext }
    }

    /// Returns the record of this use as a store has to see it after that.
    func kept(_ record: SessionRecord) -> SessionRecord {
        let context = state.withLock { $0.record.id == record.id ? $0.context : nil }
        guard let context else { return record }
        var record = record
        record.storeContext = context
        return record
    }
}

/// The uses of all requests under way; restarts an idle timeout when half of what is left of it has passed.
///
/// A request costs two operations on a dictionary, no task and no timer of its own.
final class SessionUses: Sendable {
    private typealias Instant = ContinuousClock.Instant

    private struct Entry {
        let use: SessionUse
        var expires: Instant
        var due: Instant
    }

    private struct State {
        var entries: [ObjectIdentifier: Entry] = [:]
        var timer: (due: Instant, task: Task<Void, Never>)?
    }

    private let state = Mutex(State())

    deinit { state.withLock { $0.timer?.task.cancel() } }

    /// Begins to keep a session alive until `end`.
    func begin(_ use: SessionUse) {
        let left = use.millisecondsLeft
        let now = ContinuousClock.now
        let due = now + .milliseconds(left / 2)
        state.withLock { state in
            state.entries[ObjectIdentifier(use)] = Entry(
                use: use,
                expires: now + .milliseconds(left),
                due: due
            )
            schedule(due, &state)
        }
    }

    func end(_ use: SessionUse) {
        state.withLock { _ = $0.entries.removeValue(forKey: ObjectIdentifier(use)) }
    }

    private func schedule(_ due: Instant, _ state: inout State) {
        if let timer = state.timer, timer.due <= due { return }
        state.timer?.task.cancel()
        let task = Task { [weak self] in
            guard (try? await Task.sleep(until: due)) != nil else { return }
            await self?.keepAlive()
        }
        state.timer = (due, task)
    }

    private func keepAlive() async {
        let due = state.withLock { state in
            state.timer = nil
            return state.entries.filter { $0.value.due <= .now }
        }
        await withDiscardingTaskGroup { group in
            for (id, entry) in due { group.addTask { await self.keepAlive(id, entry) } }
        }
        state.withLock { state in
            if let next = state.entries.values.lazy.map(\.due).min() { schedule(next, &state) }
        }
    }

    private func keepAlive(_ id: ObjectIdentifier, _ entry: Entry) async {
        var entry = entry
        let start = ContinuousClock.now
        if (try? await entry.use.keepAlive()) != nil {
            entry.expires = start + entry.use.record.times.idleTimeout
        }
        entry.due = .now + max((entry.expires - .now) / 2, .milliseconds(100))
        state.withLock { state in
            guard state.entries[id] != nil else { return }
            // What could not be kept alive is over.
            state.entries[id] = entry.expires > .now ? entry : nil
        }
    }
}
