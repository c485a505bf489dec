// SPDX-License-Identifier: Apache-2.0

/// Commands as other clients send them.
extension RedisCommand {
    /// The name and the arguments, each of any bytes; a script is called by its digest, as `EVALSHA`.
    ///
    /// Copies them: linear in their size.
    public var words: [[UInt8]] {
        let arguments = decoded.map { Array($0) }
        let name = Array(name.description.utf8)
        return [name] + (script.map { [Array($0.sha1.utf8)] } ?? []) + arguments
    }

    /// The key that decides which node of a cluster executes the command; nil for a command without one.
    public var key: [UInt8]? { firstKey.map { Array($0) } }

    /// The call with the source of its script, as `EVAL`, which also loads it; nil for other commands.
    package var withSource: RedisCommand? {
        guard let script else { return nil }
        var command = RedisCommand("EVAL", readOnly: readOnly)
        command.append(script.source)
        for argument in decoded { command.append(Array(argument)) }
        return command
    }
}
