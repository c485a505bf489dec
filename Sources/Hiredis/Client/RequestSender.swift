// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// The deadline and cancellation behaviour of one request.
struct SendOptions: Sendable {
    var deadline: NIODeadline
    var cancellation: RedisCancellation
}

/// A sender of requests; extended by what shared and dedicated connections have in common.
protocol RequestSender: Sendable {
    var counters: Counters { get }
    var library: ScriptLibrary { get }
    func replies(to request: Request, _ options: SendOptions) async throws(RedisError) -> Replies
}

extension RequestSender {
    /// Returns the reply to one command; a script that Redis does not have is sent again with its source.
    ///
    /// - Throws: Also the error that Redis replied with.
    func reply(to command: RedisCommand, _ options: SendOptions) async throws(RedisError) -> RedisReply {
        var reply = try await replies(to: Request(command), options).first
        if command.script != nil, reply.isError("NOSCRIPT") {
            counters.retries.add()
            reply = try await replies(to: Request(library.loads + [command], .source), options).last
        }
        if let error = reply.error { throw error }
        return reply
    }

    /// Returns the replies to several commands; scripts that Redis does not have are sent again, all
    /// together.
    func replies(to commands: [RedisCommand], _ options: SendOptions) async throws(RedisError) -> [RedisReply]
    {
        guard !commands.isEmpty else { return [] }
        // In a transaction, a script that Redis does not have would fail when the others are executed.
        let isTransaction =
            commands.contains { $0.script != nil }
            && commands.contains { $0.connectionEffect == .beginsTransaction }
        let first = Request(commands, isTransaction ? .source : .digest)
        var replies = try await replies(to: first, options).all
        let unknown = commands.indices.filter {
            commands[$0].script != nil && replies[$0].isError("NOSCRIPT")
        }
        guard !unknown.isEmpty else { return replies }
        counters.retries.add(unknown.count)
        let loads = library.loads
        let resent = Request(loads + unknown.map { commands[$0] }, .source)
        for (index, reply) in zip(unknown, try await self.replies(to: resent, options).all[loads.count...]) {
            replies[index] = reply
        }
        return replies
    }
}

extension Replies {
    var last: RedisReply {
        switch self {
        case .one(let reply): reply
        case .many(let replies): replies[replies.count - 1]
        }
    }

    var first: RedisReply {
        switch self {
        case .one(let reply): reply
        case .many(let replies): replies[0]
        }
    }

    var all: [RedisReply] {
        switch self {
        case .one(let reply): [reply]
        case .many(let replies): replies
        }
    }
}
