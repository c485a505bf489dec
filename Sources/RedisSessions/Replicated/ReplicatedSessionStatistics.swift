// SPDX-License-Identifier: Apache-2.0

/// What a replicated store holds, and has done since it was made.
public struct ReplicatedSessionStatistics: Sendable, Hashable {
    /// Entries of the log that were applied.
    public var applied = 0
    /// Entries that were no use: malformed, of another application, or written with another pepper.
    public var refused = 0
    /// Entries that this instance appended.
    public var appended = 0
    /// Bytes of these entries.
    public var bytesAppended = 0
    /// How often reading started over, because the log was another one or had been trimmed too far.
    public var replays = 0
    /// How many logs were seen to open, the first one included.
    public var reseeds = 0
    /// Sessions in memory, ended ones included for as long as they are remembered.
    public var sessions = 0
    /// Bytes of their names and values.
    public var bytes = 0
    /// The log entry applied last, as Redis names it.
    public var position = "0-0"
}
