// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// The deadline and cancellation behaviour of one request, and the copies that it must have.
struct SendOptions: Sendable {
    var deadline: NIODeadline
    var cancellation: RedisCancellation
    /// Nil for all requests but those whose copies are waited for.
    var wait: RedisReplicaWait?
}

/// A sender of requests; extended by what shared and dedicated connections have in common.
protocol RequestSender: Sendable {
    var counters: Counters { get }
    var library: ScriptLibrary { get }
    func replies(to request: Request, _ options: SendOptions) async throws(RedisError) -> Replies
}

extension RequestSender {
    /// Returns the reply to one command; a script that Redis does not have is sent again.
    ///
    /// - Throws: Also the error that Redis replied with.
    func reply(to command: RedisCommand, _ options: SendOptions) async throws(RedisError) -> RedisReply {
        var reply = try await replies(to: Request(command), options).first
        if command.script != nil, reply.isError("NOSCRIPT") {
            reply = try await resending([command], [reply], options)[0]
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
        return try await resending(commands, replies(to: first, options).all, options)
    }

    /// Sends the scripts among `commands` again that Redis does not have; returns the replies in their place.
    ///
    /// One caller loads all scripts. The others send theirs by digest once more, behind it on the same
    /// connection: when Redis has lost its scripts under load, the sources are sent once and not by everybody.
    private func resending(
        _ commands: [RedisCommand],
        _ first: [RedisReply],
        _ options: SendOptions
    ) async throws(RedisError) -> [RedisReply] {
        var replies = first
        for mustLoad in [false, true] {
            let unknown = commands.indices.filter {
                commands[$0].script != nil && replies[$0].isError("NOSCRIPT")
            }
            guard !unknown.isEmpty else { break }
            counters.retries.add(unknown.count)
            let again = unknown.map { commands[$0] }
            let isLoading = library.loadingBegan()
            defer { if isLoading { library.loadingEnded() } }
            let loads = isLoading || mustLoad ? library.loads : []
            let request = isLoading || mustLoad ? Request(loads + again, .source) : Request(again)
            for (index, reply) in zip(
                unknown,
                try await self.replies(to: request, options).all[loads.count...]
            ) {
                replies[index] = reply
            }
        }
        return replies
    }
}

extension Replies {
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
