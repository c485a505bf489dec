// SPDX-License-Identifier: Apache-2.0

import RedisSessions
import Synchronization

/// One visitor with a session of its own, which makes one request after the other.
final class Visitor: Sendable {
    let number: Int
    private let store: RedisSessionStore
    private let credential: SessionCredential
    private let policy: SessionPolicy
    private let start: ContinuousClock.Instant
    private let state = Mutex(Ledger())

    var ledger: Ledger { state.withLock(\.self) }
    private var now: Duration { ContinuousClock.now - start }
    private var marker: [UInt8] { Array("visitor \(number)".utf8) }

    /// Signs in.
    ///
    /// - Throws: `SessionError`.
    init(_ number: Int, _ store: RedisSessionStore, since start: ContinuousClock.Instant) async throws {
        self.number = number
        self.store = store
        self.start = start
        policy = SessionPolicy()
        let draft = SessionDraft(
            attributes: ["marker": Array("visitor \(number)".utf8), "n": Array("0".utf8)],
            principal: "visitor \(number)",
            policy: policy
        )
        guard case .committed(_, _, let credential?, _) = try await store.create(draft) else {
            throw SessionError(.creationRefused, "A sign-in was refused before the fault.")
        }
        self.credential = credential
    }

    func faultBegan() { state.withLock { $0.faultBegan(at: now) } }

    /// Makes requests until its task is cancelled.
    ///
    /// One in four begins with a read that is given up at a random moment: its reply must reach no other request. One in
    /// five appends, which needs the version that it has read; the others add.
    func run() async {
        var requests = 0
        while !Task.isCancelled {
            requests += 1
            if requests % 4 == 0 { await giveUpRead() }
            // In a task of its own, because the end of the run must not leave outcomes open.
            await Task { [requests] in
                await request(requests % 5 == 0 ? .append(requests) : .increment)
            }.value
            try? await Task.sleep(for: .milliseconds(5))
        }
    }

    private func giveUpRead() async {
        let read = Task { try? await store.load(credential) }
        for _ in 0..<Int.random(in: 0...3) { await Task.yield() }
        read.cancel()
        if case .found(let record)? = await read.value { note(record) }
    }

    private func request(_ write: Ledger.Write) async {
        do throws(SessionError) {
            guard case .found(var record) = try await store.load(credential) else {
                return state.withLock { $0.failed("session absent") }
            }
            note(record)
            // A conflict with an own write whose outcome was unknown.
            for _ in 0..<5 {
                let result: SessionCommitResult
                do throws(SessionError) {
                    result = try await store.commit(change(write, record), to: record)
                } catch {
                    return failed(error, write)
                }
                switch result {
                case .committed: return state.withLock { $0.acknowledged(write, at: now) }
                case .conflict(let current):
                    note(current)
                    record = current
                case .gone: return state.withLock { $0.failed("session gone") }
                }
            }
            state.withLock { $0.failed("conflict") }
        } catch {
            failed(error, nil)
        }
    }

    private func change(_ write: Ledger.Write, _ record: SessionRecord) -> SessionChange {
        switch write {
        case .increment: SessionChange(operations: ["n": .increment(1)], policy: policy)
        case .append(let number):
            SessionChange(
                operations: ["list": .set((record.attributes["list"] ?? []) + Array(" \(number)".utf8))],
                needsVersion: true,
                policy: policy
            )
        }
    }

    private func failed(_ error: SessionError, _ write: Ledger.Write?) {
        let isUnknown = (error.underlying as? RedisError).map { $0.outcome == .unknown } ?? true
        state.withLock {
            guard error.code == .storeUnavailable else { return $0.failed("\(error.code)") }
            $0.refused(unknown: isUnknown ? write : nil)
        }
    }

    private func note(_ record: SessionRecord) {
        let isOwn = record.attributes["marker"] == marker && record.principal == "visitor \(number)"
        state.withLock { $0.read(isOwn: isOwn) }
    }

    /// Reads the session and compares it with what was told.
    ///
    /// - Returns: nil when it cannot be read.
    func verdict() async -> Ledger.Verdict? {
        guard case .found(let record)? = try? await store.load(credential) else { return nil }
        note(record)
        let text = { (name: String) in String(decoding: record.attributes[name] ?? [], as: UTF8.self) }
        return ledger.verdict(
            counter: Int(text("n")) ?? 0,
            list: text("list").split(separator: " ").compactMap { Int($0) }
        )
    }
}
