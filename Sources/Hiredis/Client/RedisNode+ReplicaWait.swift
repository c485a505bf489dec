// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Synchronization

/// Writes that are waited for until replicas have them.
extension RedisNode {
    private static let firstPause = TimeAmount.milliseconds(20)
    private static let longestPause = TimeAmount.milliseconds(320)

    /// Sends a request with the question behind it how many copies it has, and returns its replies.
    ///
    /// One round trip on a dedicated connection: the server answers nothing else on it while it waits. While the replicas of
    /// this server are known to be behind, one request at a time waits for them, and the others a millisecond: a
    /// replica that is down does not make writes queue for the few dedicated connections.
    ///
    /// - Parameters:
    ///   - request: The writes, each answered before the server begins to wait.
    ///   - wait: Is told how many copies have them, unless all were refused.
    ///   - options: The replies are waited for as much longer as the server waits.
    /// - Returns: The replies to the request.
    /// - Throws: As without the question. An unknown outcome also when the writes were answered and the question was not.
    func replies(to request: Request, copied wait: RedisReplicaWait, _ options: SendOptions)
        async throws(RedisError) -> Replies
    {
        var pause = Self.firstPause
        var hasMoved = false
        while true {
            do throws(RedisError) {
                let (replies, answer) = try await attempt(request, wait, options)
                // A cluster's router decides for its nodes.
                if !isInCluster, !hasMoved, request.isRefused(replies), NIODeadline.now() < options.deadline,
                    await hasReplacedConnections(after: replies), counters.mayRepeat(request.count)
                {
                    hasMoved = true
                } else {
                    if replies.all.contains(where: { $0.kind != .error }) { wait.answered(answer) }
                    return replies
                }
            } catch {
                let next = NIODeadline.now() + pause
                guard !isInCluster, error.code == .connection, error.outcome == .notSent,
                    next < options.deadline
                else { throw error }
                // Not in a task's sleep, which a cancelled caller would not get.
                try? await eventLoop.scheduleTask(deadline: next) {}.futureResult.get()
                pause = min(pause * 2, Self.longestPause)
            }
            counters.retries.add()
        }
    }

    private func attempt(_ request: Request, _ wait: RedisReplicaWait, _ options: SendOptions)
        async throws(RedisError) -> (Replies, answer: RedisReply)
    {
        let connection = try await pool.lease(until: options.deadline, options.cancellation)
        let areBehind = areReplicasBehind.load(ordering: .relaxed)
        let isProbe = areBehind && !isProbing.exchange(true, ordering: .relaxed)
        defer { if isProbe { isProbing.store(false, ordering: .relaxed) } }
        let isPatient = isProbe || !areBehind
        let patience = isPatient ? wait.timeout : .milliseconds(1)
        let asking = request.followed(by: wait.question(patience))
        let late = SendOptions(
            deadline: options.deadline + TimeAmount(patience),
            cancellation: options.cancellation
        )
        let all: [RedisReply]
        do throws(RedisError) { all = try await connection.replies(to: asking, late).all } catch {
            await pool.release(connection)
            throw error
        }
        await pool.release(connection)
        let answer = all[all.count - 1]
        if wait.copies(answer) >= wait.wanted {
            areReplicasBehind.store(false, ordering: .relaxed)
        } else if isPatient {
            areReplicasBehind.store(true, ordering: .relaxed)
        }
        return (all.count == 2 ? .one(all[0]) : .many(Array(all.dropLast())), answer)
    }

    /// Replaces all connections, because the server is not the primary any more; returns false when it is too early.
    private func hasReplacedConnections(after replies: Replies) async -> Bool {
        let error = replies.all.first(where: \.isFromWrongServer)?.error
        guard let error else { return false }
        let connection = main.writes
        let replacements = connection.replacements
        try? await main.eventLoop.submit { connection.refused(error) }.get()
        return connection.replacements != replacements
    }
}
