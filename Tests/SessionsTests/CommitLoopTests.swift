// SPDX-License-Identifier: Apache-2.0

import Logging
import SessionsTesting
import Synchronization
import Testing

@testable import Sessions

/// The loop around a commit attempt: the queue after conflicts, failures and cancellation.
@Suite(.timeLimit(.minutes(1))) struct `Commit loop` {
    private let memory: MemorySessionStore
    private let store: FaultyStore
    private let clock = ManualClock()
    private let recorder = Recorder()
    private let queue = CommitQueue()

    init() throws {
        memory = try MemorySessionStore { [clock] in clock.now }
        store = FaultyStore(memory)
    }

    private func run(
        _ record: SessionRecord?,
        canSetCookie: Bool = true,
        _ handler: (inout UncommittedSession) throws -> Void
    ) async throws -> CookieAction {
        let loop = CommitLoop(
            store: store,
            policy: SessionPolicy(),
            limits: SessionLimits(),
            queue: queue,
            events: SessionEventSink(logger: recorder.logger) { [recorder] in recorder.note($0) }
        )
        var work = UncommittedSession(record.map { .found($0) })
        try handler(&work)
        return try await loop.run(work, canSetCookie: canSetCookie)
    }

    /// A stored session that holds a list.
    private func session(_ list: String = "") async throws -> SessionRecord {
        let draft = SessionDraft(attributes: ["list": Array(list.utf8)], policy: SessionPolicy())
        guard case .committed(_, _, let credential?, _) = try await memory.create(draft),
            case .found(let record) = try await memory.load(credential)
        else { throw SessionError(.noSession, "not created") }
        return record
    }

    /// What another request stores, past the hooks.
    private func store(_ list: String, in record: SessionRecord) async {
        let change = SessionChange(operations: ["list": .set(Array(list.utf8))], policy: SessionPolicy())
        _ = try? await memory.commit(change, to: record)
    }

    private func list(_ record: SessionRecord) async throws -> String {
        let read = SessionChange(operations: [:], needsVersion: true, policy: SessionPolicy())
        var stale = record
        stale.version = 0
        guard case .conflict(let fresh) = try await memory.commit(read, to: stale) else { return "gone" }
        return String(decoding: fresh.attributes["list"] ?? [], as: UTF8.self)
    }

    private static func append(_ text: String) -> PendingChanges.Entry {
        .update("list") { ($0 ?? []) + Array(text.utf8) }
    }

    /// Whether another request can enter the queue at once.
    private func isFree(_ record: SessionRecord) async -> Bool {
        await queue.enter(record.id)
        queue.leave(record.id)
        return true
    }

    private var events: [SessionEvent.Kind] { recorder.takeEvents().map(\.kind) }

    // MARK: The queue

    @available(macOS 26, *)
    @Test func `turns are given first come, first served`() async {
        let queue = queue
        let id = SessionID()
        let other = SessionID()
        await queue.enter(id)
        let turns = Turns()
        await withTaskGroup(of: Void.self) { group in
            for number in 1...5 {
                // Runs at once, as far as the queue.
                group.addImmediateTask {
                    await queue.enter(id)
                    turns.numbers.withLock { $0.append(number) }
                    queue.leave(id)
                }
            }
            // Another session's queue is another one.
            await queue.enter(other)
            queue.leave(other)
            #expect(turns.numbers.withLock { $0 } == [])
            queue.leave(id)
        }
        #expect(turns.numbers.withLock { $0 } == [1, 2, 3, 4, 5])
        await queue.enter(id)
        queue.leave(id)
    }

    @Test func `a first attempt does not wait for the queue, a second one does`() async throws {
        let record = try await session()
        await queue.enter(record.id)
        _ = try await run(record) { try $0.changes.append(Self.append("a")) }
        #expect(try await list(record) == "a")
        // This one read before that: it is in conflict and cannot try again until the queue is left.
        let isTurn = Mutex(false)
        store.before(.commit) { [store] in
            store.before(.commit) { isTurn.withLock { #expect($0, "commits out of turn") } }
        }
        async let late = run(record) { try $0.changes.append(Self.append("b")) }
        while store.counts[.commit] != 2 { await Task.yield() }
        isTurn.withLock { $0 = true }
        queue.leave(record.id)
        _ = try await late
        #expect(try await list(record) == "ab" && store.counts[.commit] == 3)
    }

    @Test func `a request that throws in its turn leaves the queue`() async throws {
        struct Refusal: Error {}
        let record = try await session("x")
        meddle(record, with: ["y", "z"])
        await #expect(throws: Refusal.self) {
            try await run(record) { work in
                try work.changes.append(
                    .update("list") { bytes in
                        guard bytes != Array("z".utf8) else { throw Refusal() }
                        return bytes
                    }
                )
            }
        }
        #expect(store.counts[.commit] == 2)
        #expect(await isFree(record))
        #expect(events == [])
    }

    @Test func `a request whose store fails in its turn leaves the queue`() async throws {
        let record = try await session("x")
        store.before(.commit) { [self] in
            await store("y", in: record)
            // From the next commit on.
            store.fail([.commit])
        }
        await #expect(throws: SessionError(.storeUnavailable, "")) {
            try await run(record) { try $0.changes.append(Self.append("a")) }
        }
        #expect(store.counts[.commit] == 2 && events == [.storeFailed])
        #expect(await isFree(record))
        store.fail([])
        #expect(try await list(record) == "y")
    }

    @Test func `a request that is cancelled waits for its turn, commits, and leaves the queue`() async throws
    {
        let record = try await session("x")
        await queue.enter(record.id)
        store.before(.commit) { [self] in await store("y", in: record) }
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try await run(record) { try $0.changes.append(Self.append("a")) }
        }
        while store.counts[.commit] != 1 { await Task.yield() }
        queue.leave(record.id)
        _ = try await task.value
        #expect(try await list(record) == "ya")
        #expect(await isFree(record))
    }

    @Test func `a request that loses 64 times says so, and leaves the queue`() async throws {
        let record = try await session("x")
        meddle(record, with: Array(repeating: "y", count: 64))
        await #expect(throws: SessionError(.conflict, "")) {
            try await run(record) { try $0.changes.append(Self.append("a")) }
        }
        #expect(store.counts[.commit] == 64 && events == [.refused])
        #expect(try await list(record) == "y")
        #expect(await isFree(record))
    }

    @Test func `a sign-in that finds the session over in its turn leaves the queue`() async throws {
        let record = try await session("x")
        store.before(.commit) { [self] in
            await store("y", in: record)
            store.before(.commit) { [memory] in _ = try? await memory.end(record) }
        }
        let action = try await run(record) { work in
            try work.changes.append(Self.append("a"))
            try work.changes.append(.signIn(principal: "ann", keeping: []))
        }
        guard case .send = action else { return #expect(Bool(false), "\(action)") }
        #expect(events == [.signedIn] && store.counts == [.commit: 2, .create: 1])
        #expect(await isFree(record))
    }

    // MARK: Failures

    @Test func `a touch that fails does not fail the request`() async throws {
        let record = try await session()
        clock.advance(by: .seconds(1000))
        guard case .found(let old) = try await memory.load(PresentedToken.credential(of: record)) else {
            return #expect(Bool(false), "gone")
        }
        store.fail([.touch])
        guard case .keep = try await run(old, { _ in }) else { return #expect(Bool(false), "not kept") }
        #expect(store.counts == [.touch: 1] && events == [.touchFailed])
    }

    @Test func `a failure names the session, a sign-out too`() async throws {
        let record = try await session()
        store.fail([.end, .commit])
        await #expect(throws: SessionError.self) { try await run(record) { $0.signOut() } }
        await #expect(throws: SessionError.self) {
            try await run(record) { try $0.changes.append(.renew) }
        }
        #expect(recorder.takeEvents().map(\.id) == [record.id, record.id])
    }

    @Test func `what happened before a refusal is reported, in its order`() async throws {
        let record = try await session()
        await #expect(throws: SessionError(.tooLarge, "")) {
            try await run(record) { work in
                work.signOut()
                try work.changes.append(.set("item", Array(repeating: 1, count: 100_000)))
            }
        }
        #expect(events == [.signedOut, .refused])
        #expect(try await list(record) == "gone")
    }

    /// Lets another request store each of these right before a commit.
    private func meddle(_ record: SessionRecord, with lists: [String]) {
        guard let next = lists.first else { return }
        store.before(.commit) { [self] in
            await store(next, in: record)
            meddle(record, with: Array(lists.dropFirst()))
        }
    }
}

extension PresentedToken {
    fileprivate static func credential(of record: SessionRecord) throws -> SessionCredential {
        try record.context(PresentedToken.self).token.credential
    }
}

/// In which order tasks had their turn.
private final class Turns: Sendable {
    let numbers = Mutex<[Int]>([])
}
