// SPDX-License-Identifier: Apache-2.0

import Hiredis
import Sessions

/// All Redis commands of the log.
///
/// | when | command |
/// | --- | --- |
/// | append | `XADD KEY NOMKSTREAM [MINID ~ BOUND] * e ENTRY` |
/// | read | `XREAD COUNT n [BLOCK ms] STREAMS KEY AFTER` and `log-state.lua` |
/// | where does the log end? | `log-state.lua` |
/// | begin a log | `log-origin.lua` |
/// | keep the log | `PEXPIRE KEY ms` |
struct LogCommands: Sendable {
    private static let stateScript = RedisScript(PackageResources.log_state_lua)
    private static let originScript = RedisScript(PackageResources.log_origin_lua)
    static let scripts = [stateScript, originScript]

    let key: String
    let timeToLive: Duration

    /// Appends an encoded entry; the reply is null when the log is missing.
    ///
    /// Redis may remove entries before the bound, as it sees fit.
    func append(_ entry: [UInt8], trimmingBefore bound: LogPosition?) -> RedisCommand {
        var command =
            if let bound {
                RedisCommand("XADD", key, "NOMKSTREAM", "MINID", "~", bound.description, "*", "e")
            } else {
                RedisCommand("XADD", key, "NOMKSTREAM", "*", "e")
            }
        command.append(entry)
        return command
    }

    /// Changes nothing, because the stream does not exist, and is refused whenever writes are.
    var writeProbe: RedisCommand { RedisCommand("XADD", "\(key):probe", "NOMKSTREAM", "*", "e", "") }

    /// Reads the entries after a position; with `blockTimeout`, waits that long for the first one.
    func read(after position: LogPosition, limit: Int, blockTimeout: Duration?) -> RedisCommand {
        let (count, after) = ("\(limit)", position.description)
        guard let blockTimeout else { return RedisCommand("XREAD", "COUNT", count, "STREAMS", key, after) }
        let timeout = "\(blockTimeout.wholeMilliseconds)"
        return RedisCommand("XREAD", "COUNT", count, "BLOCK", timeout, "STREAMS", key, after)
    }

    /// Asks for the bounds of the log, and for the entry at a position; `.start` for none.
    func bounds(lookingFor position: LogPosition = .start) -> RedisCommand {
        var command = RedisCommand(script: Self.stateScript, keys: [key], readOnly: true)
        command.append(position == .start ? "" : position.description)
        return command
    }

    /// Begins a log, unless another instance has appended since its bounds were asked.
    ///
    /// The reply is 1 if the log was begun, otherwise 0.
    ///
    /// - Parameters:
    ///   - last: the last entry of the log as it was; nil if it was missing or empty.
    ///   - notBefore: the milliseconds that the first position must exceed.
    ///   - origin: the encoded first entry.
    /// - Returns: the command.
    func begin(after last: LogPosition?, notBefore: UInt64, origin: [UInt8]) -> RedisCommand {
        var command = RedisCommand(script: Self.originScript, keys: [key])
        command.append(last?.description ?? "")
        command.append("\(notBefore)")
        command.append(origin)
        command.append("\(timeToLive.wholeMilliseconds)")
        return command
    }

    /// Restarts the log's time to live.
    var keep: RedisCommand { RedisCommand("PEXPIRE", key, "\(timeToLive.wholeMilliseconds)") }
}
