// SPDX-License-Identifier: Apache-2.0

import Logging
import SessionsTesting
import Synchronization
import Testing

@testable import Sessions

/// The loop around a commit attempt: the queue after conflicts, failures and cancellation.
@Suite(.timeLimit(.minutes(10))) struct `Commit loop` {
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
            queue: queue
        )
        var work = UncommittedSession(record.map { .found($0) })
        try handler(&work)
        return try await loop.run(
            work,
            credential: nil,
            canSetCookie: canSetCookie,
            mayFollowRevocation: false,
            events: SessionEventSink(logger: recorder.logger) { [recorder] in recorder.note($0) }
        )
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

    private static let empty = PendingChanges()

    /// Waits until the given number of requests has loaded and stands in line behind the first.
    private func line(_ record: SessionRecord, holds count: Int) async {
        while queue.waiting(line(record)) < count { await Task.yield() }
    }

    private func line(_ record: SessionRecord) -> CommitQueue.Line {
        CommitQueue.Line(id: record.id, credential: nil)
    }

    private var events: [SessionEvent.Kind] { recorder.takeEvents().map(\.kind) }

    /// Stands at the head of the line, until the test leaves it.
    private func block(_ record: SessionRecord) async throws {
        let change = SessionChange(operations: [:], policy: SessionPolicy())
        guard case .lead = await queue.enter(line(record), CommitQueue.Member(Self.empty, change)) else {
            throw SessionError(.conflict, "There is a line already.")
        }
    }

    // MARK: The line

    @Test func `a request alone commits at once`() async throws {
        let record = try await session("x")
        _ = try await run(record) { try $0.changes.append(Self.append("a")) }
        #expect(try await list(record) == "xa" && store.counts == [.commit: 1])
        #expect(queue.waiting(line(record)) == 0)
    }

    @available(macOS 26, *)
    @Test func `what waits behind a commit is one more commit, in its order`() async throws {
        let record = try await session()
        try await block(record)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<50 {
                // Runs at once, as far as the line.
                group.addImmediateTask {
                    _ = try await run(record) { try $0.changes.append(Self.append("\(number % 10)")) }
                }
            }
            await line(record, holds: 50)
            queue.leave(line(record), after: nil)
            try await group.waitForAll()
        }
        #expect(try await list(record) == String(repeating: "0123456789", count: 5))
        #expect(store.counts == [.commit: 1])
    }

    @available(macOS 26, *)
    @Test func `a change that is refused concerns its own request only`() async throws {
        struct Refusal: Error {}
        let record = try await session()
        try await block(record)
        let refused = Count()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<9 {
                group.addImmediateTask {
                    do {
                        _ = try await run(record) { work in
                            try work.changes.append(
                                .update("list") { bytes in
                                    let bytes = bytes ?? []
                                    guard number % 3 != 2 || bytes.isEmpty else { throw Refusal() }
                                    return bytes + Array("\(number)".utf8)
                                }
                            )
                        }
                    } catch is Refusal { refused.number.withLock { $0 += 1 } }
                }
            }
            await line(record, holds: 9)
            queue.leave(line(record), after: nil)
            try await group.waitForAll()
        }
        #expect(try await list(record) == "013467" && refused.number.withLock { $0 } == 3)
        #expect(store.counts == [.commit: 1] && events == [])
    }

    @available(macOS 26, *)
    @Test func `a failure of the store is the failure of all, and the line goes on`() async throws {
        let record = try await session()
        try await block(record)
        store.fail([.commit])
        let failed = Count()
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<5 {
                group.addImmediateTask {
                    do {
                        _ = try await run(record) { try $0.changes.append(Self.append("a")) }
                    } catch {
                        #expect(error as? SessionError == SessionError(.storeUnavailable, ""))
                        failed.number.withLock { $0 += 1 }
                    }
                }
            }
            await line(record, holds: 5)
            queue.leave(line(record), after: nil)
        }
        store.fail([])
        #expect(failed.number.withLock { $0 } == 5)
        _ = try await run(record) { try $0.changes.append(Self.append("b")) }
        #expect(try await list(record) == "b")
    }

    @Test func `a request that is cancelled waits for its turn and commits`() async throws {
        let record = try await session("x")
        try await block(record)
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try await run(record) { try $0.changes.append(Self.append("b")) }
        }
        await line(record, holds: 1)
        queue.leave(line(record), after: nil)
        _ = try await task.value
        #expect(try await list(record) == "xb")
    }

    @Test func `a request that waits too long is refused, and nothing of it is stored`() async throws {
        let queue = CommitQueue(patience: .milliseconds(20))
        let id = SessionID()
        let change = SessionChange(operations: [:], policy: SessionPolicy())
        let line = CommitQueue.Line(id: id, credential: "cookie")
        let first = CommitQueue.Member(Self.empty, change)
        guard case .lead = await queue.enter(line, first) else { return #expect(Bool(false), "no lead") }
        let second = CommitQueue.Member(Self.empty, change)
        guard case .done(.failure(let error)) = await queue.enter(line, second) else {
            return #expect(Bool(false), "not refused")
        }
        #expect(error as? SessionError == SessionError(.storeUnavailable, ""))
        #expect(queue.followers(line).isEmpty)
        queue.leave(line, after: nil)
        guard case .lead = await queue.enter(line, second) else { return #expect(Bool(false), "not free") }
    }

    @Test func `requests with different cookies do not commit for each other`() async throws {
        let change = SessionChange(operations: [:], policy: SessionPolicy())
        let id = SessionID()
        for cookie in ["old", "new", nil] {
            let line = CommitQueue.Line(id: id, credential: cookie)
            guard case .lead = await queue.enter(line, CommitQueue.Member(Self.empty, change)) else {
                return #expect(Bool(false), "waits for another cookie")
            }
        }
    }

    @Test func `a request that loses 64 times says so, and leaves the line`() async throws {
        let record = try await session("x")
        meddle(record, with: Array(repeating: "y", count: 64))
        await #expect(throws: SessionError(.conflict, "")) {
            try await run(record) { try $0.changes.append(Self.append("a")) }
        }
        #expect(store.counts[.commit] == 64 && events == [.refused])
        #expect(try await list(record) == "y")
        _ = try await run(record) { try $0.changes.append(Self.append("a")) }
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

/// Counts across tasks.
private final class Count: Sendable {
    let number = Mutex(0)
}
