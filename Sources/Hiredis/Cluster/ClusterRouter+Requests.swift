// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// Sending what callers ask for, and sending it again where a node says.
extension ClusterRouter {
    /// Parts for the same node, sent together.
    private struct Group {
        let node: RedisNode
        let asking: Bool
        var parts: [BatchPart]

        var positions: [Int] { parts.flatMap(\.positions) }
    }

    /// The wait before something is sent again.
    private enum Wait: Int, Comparable {
        case none, pause, refresh
        /// A refresh because a node cannot be reached.
        case failover

        static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
    }

    /// After this many times without a pause, two nodes may each believe that the other one owns a slot.
    private static let immediateRetries = 5
    private static let asking = RedisCommand("ASKING", readOnly: true)

    /// Returns the reply to one command.
    ///
    /// - Throws: Also the error that Redis replied with.
    func reply(to command: RedisCommand, _ options: SendOptions) async throws(RedisError) -> RedisReply {
        var part = BatchPart(positions: 0..<1, slot: command.slot)
        var attempts = 0
        while true {
            let node = try await node(part.route, slot: part.slot, options)
            do throws(RedisError) {
                if case .node(_, asking: true) = part.route {
                    let reply = try await asked([command], of: node, options)[0]
                    if let error = reply.error { throw error }
                    return reply
                }
                return try await node.reply(to: command, options)
            } catch {
                attempts += 1
                guard let next = next(after: error, from: node, [command], attempts, options),
                    try await wait(next.wait, attempts, options)
                else { throw error }
                part.route = next.route
            }
        }
    }

    /// Returns the replies to several commands, split by node and joined in their order.
    ///
    /// - Throws: An error of a connection; its outcome is `unknown` when other commands may have been executed.
    func replies(to commands: [RedisCommand], _ options: SendOptions) async throws(RedisError) -> [RedisReply]
    {
        // The common case is not split: one slot, whose owner is known and executes everything.
        var first: (RedisNode, Result<[RedisReply], RedisError>)?
        if let slot = commands.onlySlot, let node = owner(of: slot) {
            let answer: Result<[RedisReply], RedisError>
            do throws(RedisError) {
                answer = .success(try await node.replies(to: commands, options))
            } catch { answer = .failure(error) }
            if case .success(let replies) = answer, !replies.contains(where: { $0.redirect != nil }) {
                return replies
            }
            first = (node, answer)
        }
        let parts = try BatchPart.parts(of: commands)
        var replies = [RedisReply?](repeating: nil, count: commands.count)
        do throws(RedisError) {
            let answers = first.map { [(Group(node: $0.0, asking: false, parts: parts), $0.1)] }
            if !parts.isEmpty { try await complete(&replies, parts, of: commands, after: answers, options) }
        } catch {
            var error = error
            if replies.contains(where: { $0 != nil && $0?.redirect == nil }) { error.outcome = .unknown }
            throw error
        }
        return replies.compactMap(\.self)
    }

    /// Sends parts until all have replies or the deadline has passed; `first` is what became of a first attempt.
    private func complete(
        _ replies: inout [RedisReply?],
        _ parts: [BatchPart],
        of commands: [RedisCommand],
        after first: [(Group, Result<[RedisReply], RedisError>)]?,
        _ options: SendOptions
    ) async throws(RedisError) {
        var parts = parts
        var first = first
        var attempts = 0
        while true {
            attempts += 1
            var wait = Wait.none
            var again: [BatchPart] = []
            var lost: RedisError?
            var isFinal = false
            let answers = if let first { first } else { try await send(parts, of: commands, options) }
            first = nil
            for (group, answer) in answers {
                if case .success(let received) = answer {
                    for (position, reply) in zip(group.positions, received) { replies[position] = reply }
                }
                for var part in group.parts {
                    let error: RedisError?
                    switch answer {
                    case .failure(let failure): (error, lost) = (failure, lost ?? failure)
                    // Of a transaction, nothing was executed when one of its commands was refused.
                    case .success: error = part.positions.compactMap { replies[$0]?.redirect }.first
                    }
                    guard let error else { continue }
                    let own = commands[part.positions]
                    if let next = next(after: error, from: group.node, own, attempts, options) {
                        part.route = next.route
                        wait = max(wait, next.wait)
                        again.append(part)
                    } else if case .failure = answer {
                        (lost, isFinal) = (error, true)
                    }
                }
            }
            parts = again
            if !isFinal, parts.isEmpty { return }
            if !isFinal, try await self.wait(wait, attempts, options) { continue }
            // What was refused until the deadline has its replies.
            if let lost { throw lost }
            return
        }
    }

    /// Sends a command and ignores its reply; one that is sent elsewhere follows once.
    ///
    /// While the owner of its slot is not known, it is not sent and counted as a failure.
    func submit(_ command: RedisCommand) {
        if let node = owner(of: command.slot) { return node.submit(command) }
        counters.submitErrors.add()
        refresh()
    }

    /// Calls `body` with a connection of its own to the node that owns a key.
    func withDedicatedConnection<Value>(
        for key: String?,
        _ body: (RedisDedicatedConnection) async throws -> Value
    ) async throws -> Value {
        guard let key else {
            throw RedisError(
                .configuration,
                .notSent,
                "in a cluster, withDedicatedConnection needs the key that will be used"
            )
        }
        let deadline = NIODeadline.now() + TimeAmount(configuration.commandTimeout)
        let options = SendOptions(deadline: deadline, cancellation: .abandon)
        let node = try await node(.owner, slot: HashSlot.of(Array(key.utf8)[...]), options)
        do { return try await node.withDedicatedConnection(body) } catch {
            if let error = error as? RedisError, Redirection(error, from: node.address) != nil { refresh() }
            throw error
        }
    }

    // MARK: Private

    /// Sends parts, to all nodes at the same time; returns what became of each group.
    private func send(_ parts: [BatchPart], of commands: [RedisCommand], _ options: SendOptions)
        async throws(RedisError) -> [(Group, Result<[RedisReply], RedisError>)]
    {
        var groups: [Group] = []
        for part in parts {
            let node = try await node(part.route, slot: part.slot, options)
            let asking = if case .node(_, asking: true) = part.route { true } else { false }
            if let index = groups.firstIndex(where: { $0.node === node && $0.asking == asking }) {
                groups[index].parts.append(part)
            } else {
                groups.append(Group(node: node, asking: asking, parts: [part]))
            }
        }
        if groups.count == 1 { return [(groups[0], await send(groups[0], of: commands, options))] }
        return await withTaskGroup { tasks in
            for group in groups {
                tasks.addTask { (group, await self.send(group, of: commands, options)) }
            }
            return await tasks.reduce(into: []) { $0.append($1) }
        }
    }

    private func send(_ group: Group, of commands: [RedisCommand], _ options: SendOptions) async
        -> Result<[RedisReply], RedisError>
    {
        let own = group.positions.map { commands[$0] }
        do throws(RedisError) {
            guard group.asking else { return .success(try await group.node.replies(to: own, options)) }
            var replies: [RedisReply] = []
            for part in group.parts {
                replies += try await asked(Array(commands[part.positions]), of: group.node, options)
            }
            return .success(replies)
        } catch { return .failure(error) }
    }

    /// Sends one command, or one transaction, directly behind `ASKING`, with the sources of scripts.
    private func asked(_ commands: [RedisCommand], of node: RedisNode, _ options: SendOptions)
        async throws(RedisError) -> [RedisReply]
    {
        let request = Request([Self.asking] + commands, .source)
        return Array(try await node.replies(to: request, options).all.dropFirst())
    }

    /// Returns where to send what has failed, and after which wait; nil when the failure is final.
    ///
    /// What a node may have worked on takes from the budget of retries. Redirections do not, because each names where the command
    /// belongs, nor what was not sent.
    private func next(
        after error: RedisError,
        from node: RedisNode,
        _ commands: ArraySlice<RedisCommand>,
        _ attempts: Int,
        _ options: SendOptions
    ) -> (route: BatchPart.Route, wait: Wait)? {
        guard NIODeadline.now() < options.deadline, !isClosed else { return nil }
        let immediately = attempts < Self.immediateRetries ? Wait.none : .pause
        var isFree = immediately == .none
        var next: (BatchPart.Route, Wait)?
        switch Redirection(error, from: node.address) {
        case .moved(let slot, let address):
            counters.redirects.add()
            moved(slot, to: address)
            next = (.node(address, asking: false), immediately)
        case .ask(let slot, let address):
            counters.redirects.add()
            asked(slot)
            next = (.node(address, asking: true), immediately)
        case .later(let refreshes): (next, isFree) = ((.owner, refreshes ? .refresh : .pause), false)
        case nil where error.outcome == .notSent:
            isFree = true
            // The node has left the cluster, or cannot be reached. A failover that was none until now may still come: the slots
            // are read for it, and no caller waits.
            if error.code == .closed {
                next = (.owner, immediately)
            } else if error.code == .connection {
                if node.isUnavailable(for: configuration.limits.failover) {
                    refresh()
                } else {
                    next = (.owner, .failover)
                }
            }
        case nil:
            isFree = false
            if error.code == .connection, commands.allSatisfy(\.readOnly) { next = (.owner, .refresh) }
        }
        guard next != nil, isFree || counters.mayRepeat(commands.count) else { return nil }
        counters.retries.add()
        return next
    }

    /// Waits; returns whether there is time left.
    private func wait(_ wait: Wait, _ attempts: Int, _ options: SendOptions) async throws(RedisError) -> Bool
    {
        switch wait {
        case .none: break
        case .refresh, .failover:
            // If the slots cannot be read, what is known of them is tried again.
            do throws(RedisError) { try await refreshed(options, isFailover: wait == .failover) } catch {
                if error.code != .connection { throw error }
            }
        case .pause:
            let pause = TimeAmount.milliseconds(10 << min(attempts, 4))
            let over = RedisError(.timeout, .notSent, "")
            let answer = await PendingValue<Void>.wait(
                until: min(.now() + pause, options.deadline),
                on: eventLoop,
                orFail: over,
                options.cancellation
            ) { $0.park() }
            if case .failure(let error) = answer, error.code != .timeout { throw error }
        }
        return NIODeadline.now() < options.deadline
    }
}

extension RedisReply {
    /// The error with which a node of a cluster sends a command elsewhere, or asks for patience.
    fileprivate var redirect: RedisError? {
        guard kind == .error, let error else { return nil }
        return Redirection(error, from: .unix(path: "")) == nil ? nil : error
    }
}
