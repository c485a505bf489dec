// SPDX-License-Identifier: Apache-2.0

/// The size of a near cache, and counts since it was created.
public struct CachedSessionStatistics: Sendable, Hashable {
    /// Reads that were served from memory.
    public var hits = 0
    /// Reads that Redis was asked for.
    public var misses = 0
    /// Keys that Redis has reported as changed, cached or not.
    public var invalidations = 0
    /// How often all copies of a server were dropped, because its invalidation connection was lost or not opened, or it
    /// was flushed.
    public var flushes = 0
    /// Sessions in memory.
    public var entries = 0
    /// About what they take in memory, in bytes.
    public var bytes = 0
}
