// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// Commands that are written next to each other on one connection.
struct Request: Sendable {
    private enum Commands {
        /// Apart from `many`, for it needs no array.
        case one(RedisCommand)
        case many([RedisCommand])
    }

    private let commands: Commands
    let form: RedisCommand.ScriptForm

    init(_ command: RedisCommand, _ form: RedisCommand.ScriptForm = .digest) {
        commands = .one(command)
        self.form = form
    }

    init(_ several: [RedisCommand], _ form: RedisCommand.ScriptForm = .digest) {
        commands = several.count == 1 ? .one(several[0]) : .many(several)
        self.form = form
    }

    var count: Int {
        switch commands {
        case .one: 1
        case .many(let commands): commands.count
        }
    }

    /// An upper bound of the bytes.
    var size: Int {
        switch commands {
        case .one(let command): command.size(form)
        case .many(let commands): commands.reduce(0) { $0 + $1.size(form) }
        }
    }

    /// Whether sending it twice is as good as once.
    var isRepeatable: Bool {
        switch commands {
        case .one(let command): command.readOnly
        case .many(let commands): commands.allSatisfy(\.readOnly)
        }
    }

    func encode(into buffer: inout ByteBuffer) {
        switch commands {
        case .one(let command): command.encode(into: &buffer, form)
        case .many(let commands): for command in commands { command.encode(into: &buffer, form) }
        }
    }
}
