// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// Commands that are written next to each other on one connection.
struct Request: Sendable {
    private enum Commands {
        /// The common case, without an array.
        case one(RedisCommand)
        case many([RedisCommand])
    }

    private let commands: Commands
    private let form: RedisScript.Form
    /// Whether it only reads: scripts do not count, because the server delays them like writes.
    let isRead: Bool

    init(_ command: RedisCommand, _ form: RedisScript.Form = .digest) {
        commands = .one(command)
        self.form = form
        isRead = command.isRead
    }

    init(_ several: [RedisCommand], _ form: RedisScript.Form = .digest) {
        commands = several.count == 1 ? .one(several[0]) : .many(several)
        self.form = form
        isRead = several.allSatisfy { $0.isRead }
    }

    var count: Int {
        switch commands {
        case .one: 1
        case .many(let commands): commands.count
        }
    }

    /// The encoded size in bytes, rounded up.
    var size: Int {
        switch commands {
        case .one(let command): command.size(form)
        case .many(let commands): commands.reduce(0) { $0 + $1.size(form) }
        }
    }

    /// Whether sending it twice has the effect of sending it once.
    var isRepeatable: Bool {
        switch commands {
        case .one(let command): command.readOnly
        case .many(let commands): commands.allSatisfy(\.readOnly)
        }
    }

    /// The positions of the commands that end a transaction.
    var transactionEnds: [Int] {
        guard case .many(let commands) = commands else { return [] }
        return commands.indices.filter { commands[$0].connectionEffect == .endsTransaction }
    }

    /// Whether the server has refused it as the wrong one, and executed nothing of it that changes anything.
    func isRefused(_ replies: Replies) -> Bool {
        switch (commands, replies) {
        case (_, .one(let reply)): return reply.isFromWrongServer
        case (.one, .many): return false
        case (.many(let commands), .many(let replies)):
            return replies.contains(where: \.isFromWrongServer)
                && zip(commands, replies).allSatisfy { $0.readOnly || $1.isFromWrongServer }
        }
    }

    /// Returns the request with a command behind its own.
    func followed(by command: RedisCommand) -> Request {
        switch commands {
        case .one(let first): Request([first, command], form)
        case .many(let commands): Request(commands + [command], form)
        }
    }

    func encode(into buffer: inout ByteBuffer) {
        switch commands {
        case .one(let command): command.encode(into: &buffer, form)
        case .many(let commands): for command in commands { command.encode(into: &buffer, form) }
        }
    }
}

extension RedisCommand {
    fileprivate var isRead: Bool { readOnly && script == nil }
}
