// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Synchronization

/// The replicas of one primary, for reads that may be a stated time old.
///
/// Asks them nothing and has no connections until the first read. Reads themselves have the replicas examined, in the
/// background and not more often than four times in the age that they accept, or in a second if none is found; there is no
/// timer. A replica that refuses, is lost or is late is no error: the primary is asked instead.
final class ReplicaGroup: Sendable {
    /// Where the replicas are, when the primary is not the one to say so, with a function that finds them again.
    struct Places: Sendable {
        let addresses: Set<RedisAddress>
        let findAgain: @Sendable () -> Void
    }

    let primary: RedisNode
    let places: Places?
    private let makeNode: @Sendable (RedisAddress) -> RedisNode
    private let state = Mutex(ReplicaGroupState<RedisNode>())

    /// Creates a group; does no I/O.
    ///
    /// - Parameters:
    ///   - primary: Says what there is to have, and without `places` who its replicas are.
    ///   - places: Where the replicas are.
    ///   - makeNode: Makes the connections to one.
    init(
        of primary: RedisNode,
        at places: Places? = nil,
        _ makeNode: @escaping @Sendable (RedisAddress) -> RedisNode
    ) {
        (self.primary, self.places, self.makeNode) = (primary, places, makeNode)
    }

    /// The replicas that are known at the moment.
    var nodes: [RedisNode] { state.withLock { $0.members.map(\.node) } }

    /// Sends commands that only read to one replica, once.
    ///
    /// - Parameters:
    ///   - commands: The commands.
    ///   - age: The replica has all that the primary had at a time that is no longer ago.
    ///   - cancellation: The behaviour when the caller's task is cancelled.
    /// - Returns: The replies, none of which is an error; nil when the primary has to be asked.
    func replies(to commands: [RedisCommand], within age: TimeAmount, _ cancellation: RedisCancellation) async
        -> [RedisReply]?
    {
        let now = NIODeadline.now()
        let start = Int.random(in: 0..<1 << 20)
        let (member, examines) = state.withLock {
            $0.requested(within: age, at: now, from: start, connections: { $0.connectionChanges })
        }
        // Not the task of the caller, who need not wait: it asks the primary until the replicas are known to be current.
        if examines { Task { await examine() } }
        guard let member else { return nil }
        let node = member.node
        do throws(RedisError) {
            let options = SendOptions(deadline: now + node.timeout, cancellation: cancellation)
            let replies = try await node.replyOnce(to: Request(commands), options).all
            if let refusal = replies.first(where: { $0.kind == .error }) {
                // Of a cluster, it may serve the other slots.
                if refusal.isFromWrongServer, !refusal.isError("MOVED ") { failed(node) }
                return nil
            }
            // The same connection as when it was examined: another one may lead to a server that came back without data.
            return node.connectionChanges == member.connections ? replies : nil
        } catch {
            if error.code != .cancelled { failed(node) }
            return nil
        }
    }

    /// Closes all connections after the replies to commands in flight.
    func close() { for node in state.withLock({ $0.closed() }) { node.close() } }

    // MARK: Examination

    /// Finds out as of when each replica is current.
    private func examine() async {
        defer { state.withLock { $0.examined() } }
        let asked = NIODeadline.now()
        guard let info = await info(of: primary), let replicas = info.replicas else { return }
        let (due, leaving, isIncomplete) = state.withLock { state in
            state.primaryAnswered(info, asked: asked)
            let leaving = state.found(places?.addresses ?? replicas, makeNode)
            return (state.due(at: asked), leaving, state.isIncomplete(of: replicas.count, at: asked))
        }
        for node in leaving { node.close() }
        if isIncomplete { places?.findAgain() }
        await withDiscardingTaskGroup { tasks in
            for node in due { tasks.addTask { await self.examine(node) } }
        }
    }

    private func examine(_ node: RedisNode) async {
        // Once more if the question has opened the connection.
        for _ in 0..<2 {
            let connections = node.connectionChanges
            guard let info = await info(of: node) else { return failed(node) }
            state.withLock { $0.answered(node, info, connections: connections) }
            if node.connectionChanges == connections { return }
        }
    }

    private func info(of node: RedisNode) async -> ReplicationInfo? {
        let options = SendOptions(deadline: .now() + node.timeout, cancellation: .ignore)
        guard let reply = try? await node.reply(to: ReplicationInfo.question, options) else { return nil }
        return ReplicationInfo(reply, from: node.address)
    }

    private func failed(_ node: RedisNode) { state.withLock { $0.failed(node, at: .now()) } }
}
