// SPDX-License-Identifier: Apache-2.0

import Hiredis
import Sessions

/// All Redis commands of the log.
///
/// | when | command |
/// | --- | --- |
/// | append | `log-append.lua`: `XREVRANGE`, `TIME`, `XTRIM`, `XADD KEY MINID ~ BOUND ID e ENTRY t TIME` |
/// | read | `XREAD COUNT n [BLOCK ms] STREAMS KEY AFTER` and `log-state.lua` |
/// | where does the log end? | `log-state.lua` |
/// | begin a log | `log-origin.lua` |
/// | keep the log | `PEXPIRE KEY ms` |
/// | trim the log | `XTRIM KEY MINID ~ BOUND` |
struct LogCommands: Sendable {
    private static let stateScript = RedisScript(PackageResources.log_state_lua)
    private static let originScript = RedisScript(PackageResources.log_origin_lua)
    private static let appendScript = RedisScript(PackageResources.log_append_lua)
    static let scripts = [stateScript, originScript, appendScript]

    let key: String
    let timeToLive: Duration

    /// Appends an encoded entry; for the reply see `appendReply`.
    ///
    /// Redis may remove entries before the bound, as it sees fit.
    ///
    /// - Parameters:
    ///   - entry: the encoded entry.
    ///   - target: the log it is for.
    ///   - isEssential: whether a full Redis must take it, too.
    /// - Returns: the command.
    func append(_ entry: [UInt8], to target: AppendTarget, isEssential: Bool) -> RedisCommand {
        var command = RedisCommand(script: Self.appendScript, keys: [key])
        command.append(entry)
        command.append("\(target.notAfter)")
        command.append("\(target.applied.milliseconds)")
        command.append("\(target.applied.sequence)")
        command.append(target.trimBound.description)
        command.append(isEssential ? "1" : "")
        return command
    }

    /// Changes nothing, because the stream does not exist, and is refused whenever writes are.
    var writeProbe: RedisCommand { RedisCommand("XADD", "\(key):probe", "NOMKSTREAM", "*", "e", "") }

    /// Parses the reply to `append`, and the time of the server in microseconds; nil for any other.
    static func appendReply(_ reply: RedisReply) -> (AppendReply, time: Int64?)? {
        if reply.isNull { return (.missing, nil) }
        guard reply.count == 2, let id = reply[0].string, let time = reply[1].string.flatMap(Int64.init)
        else {
            return nil
        }
        return (id.isEmpty ? .late : .appended, time)
    }

    /// Removes entries before the bound, as Redis sees fit; a full Redis does it, too.
    func trim(before bound: LogPosition) -> RedisCommand {
        RedisCommand("XTRIM", key, "MINID", "~", bound.description)
    }

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
