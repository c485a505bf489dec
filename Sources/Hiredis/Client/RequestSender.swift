// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// How long and how stubbornly a caller waits.
struct Terms: Sendable {
    var deadline: NIODeadline
    var cancellation: RedisCancellation
}

/// Whatever takes requests and gives replies; adds what is the same for shared and dedicated connections.
protocol RequestSender: Sendable {
    var counters: Counters { get }
    var library: ScriptLibrary { get }
    nonisolated(nonsending) func exchange(_ request: Request, _ terms: Terms) async throws(RedisError)
        -> Replies
}

extension RequestSender {
    /// The reply to one command; a script that Redis does not know is sent again with its source.
    ///
    /// An error reply is thrown.
    nonisolated(nonsending) func reply(to command: RedisCommand, _ terms: Terms) async throws(RedisError)
        -> RedisReply
    {
        var reply = try await exchange(Request(command), terms).first
        if command.script != nil, reply.isError("NOSCRIPT") {
            counters.retries.add()
            reply = try await exchange(Request(library.loads + [command], .source), terms).last
        }
        if let error = reply.error { throw error }
        return reply
    }

    /// The replies to several commands; scripts that Redis does not know are sent again, all together.
    nonisolated(nonsending) func replies(to commands: [RedisCommand], _ terms: Terms) async throws(RedisError)
        -> [RedisReply]
    {
        guard !commands.isEmpty else { return [] }
        var replies = try await exchange(Request(commands), terms).all
        let unknown = commands.indices.filter {
            commands[$0].script != nil && replies[$0].isError("NOSCRIPT")
        }
        if !unknown.isEmpty {
            counters.retries.add(unknown.count)
            let loads = library.loads
            let again = try await exchange(Request(loads + unknown.map { commands[$0] }, .source), terms).all
                .dropFirst(loads.count)
            for (index, reply) in zip(unknown, again) { replies[index] = reply }
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
