// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// Lines of requests of this process that change one session depending on what they read.
///
/// Of such requests only one can commit for a version. So the one at the head commits for all that wait behind it
/// (see `CombinedCommit`): N requests cost a few round trips, not 2 N. First come, first served. A line begins with a
/// conflict: a request that meets no other pays nothing.
final class CommitQueue: Sendable {
    /// One line: requests with the same cookie, so that no request writes with the rights of another.
    struct Line: Hashable, Sendable {
        let id: SessionID
        let credential: String?

        init(id: SessionID, credential: String?) {
            self.id = id
            self.credential = credential
        }

        /// The line of a record; without a credential that of its user, who has shown it otherwise.
        init(_ record: SessionRecord, _ credential: SessionCredential?) {
            self.init(id: record.id, credential: credential?.value ?? record.principal)
        }
    }

    enum Turn: Sendable {
        /// The request is at the head and commits for itself and for `followers`; then it must `leave`.
        ///
        /// - Parameter after: the record as the request before has left it, if it has.
        case lead(after: SessionRecord?)
        /// Another request has committed for this one.
        case done(Result<SessionCommitResult, any Error>)
    }

    /// A request in a line.
    final class Member: Sendable {
        let changes: PendingChanges
        let change: SessionChange
        private let continuation = Mutex<CheckedContinuation<Turn, Never>?>(nil)

        init(_ changes: PendingChanges, _ change: SessionChange) {
            self.changes = changes
            self.change = change
        }

        fileprivate func wait(_ continuation: CheckedContinuation<Turn, Never>) {
            self.continuation.withLock { $0 = continuation }
        }

        func resume(_ turn: Turn) {
            continuation.withLock { waiting in
                defer { waiting = nil }
                return waiting
            }?.resume(returning: turn)
        }
    }

    /// How long a request waits in a line before it is refused, and tries at its head.
    let patience: Duration
    private let lines = Mutex<[Line: [Member]]>([:])

    init(patience: Duration = .seconds(5)) { self.patience = patience }

    /// Waits for the head of the line, or for a request there to commit for this one.
    ///
    /// Not cancellable, but bounded by `patience`: the outcome is a `.storeUnavailable` then, and nothing was stored.
    func enter(_ line: Line, _ member: Member) async -> Turn {
        var timer: Task<Void, Never>?
        defer { timer?.cancel() }
        return await withCheckedContinuation { continuation in
            member.wait(continuation)
            let isFirst = lines.withLock { lines in
                if lines[line] == nil {
                    lines[line] = []
                    return true
                }
                lines[line]?.append(member)
                return false
            }
            guard !isFirst else { return member.resume(.lead(after: nil)) }
            timer = Task {
                guard (try? await Task.sleep(for: patience)) != nil else { return }
                expire(line, member)
            }
        }
    }

    /// Takes all that wait behind the request at the head, in their order.
    func followers(_ line: Line) -> [Member] {
        lines.withLock { lines in
            defer { lines[line] = [] }
            return lines[line] ?? []
        }
    }

    /// Whether there is a line.
    func exists(_ line: Line) -> Bool { lines.withLock { $0[line] != nil } }

    /// How many wait behind the head.
    func waiting(_ line: Line) -> Int { lines.withLock { $0[line]?.count ?? 0 } }

    /// Gives the head of the line to the next request.
    func leave(_ line: Line, after record: SessionRecord?) {
        let next = lines.withLock { lines -> Member? in
            guard lines[line]?.isEmpty == false else {
                lines[line] = nil
                return nil
            }
            return lines[line]?.removeFirst()
        }
        next?.resume(.lead(after: record))
    }

    private func expire(_ line: Line, _ member: Member) {
        let isWaiting = lines.withLock { lines in
            guard let index = lines[line]?.firstIndex(where: { $0 === member }) else { return false }
            lines[line]?.remove(at: index)
            return true
        }
        guard isWaiting else { return }
        let error = SessionError(
            .storeUnavailable,
            "Other requests are changing the session; this one waited \(patience) and was given up."
        )
        member.resume(.done(.failure(error)))
    }
}
