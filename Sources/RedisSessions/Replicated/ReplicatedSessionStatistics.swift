// SPDX-License-Identifier: Apache-2.0

/// The size of a replicated store, and counts since it was created.
public struct ReplicatedSessionStatistics: Sendable, Hashable {
    /// Entries of the log that were applied.
    public var applied = 0
    /// Entries that were ignored: malformed, of another application, or written with another pepper.
    public var refused = 0
    /// Entries that this instance appended.
    public var appended = 0
    /// The size of these entries, in bytes.
    public var bytesAppended = 0
    /// Times that reading started over, because the log was replaced or trimmed too far.
    public var replays = 0
    /// New logs that became usable, the first one included.
    public var recoveries = 0
    /// Sessions in memory, ended ones included as long as they are remembered.
    public var sessions = 0
    /// The size of their attributes, in bytes.
    public var bytes = 0
    /// The log entry applied last, as Redis names it.
    public var position = "0-0"
}
