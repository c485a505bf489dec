// SPDX-License-Identifier: Apache-2.0

import Sessions

/// The decisions of a near cache: which copy of a record may be served, and which reply may become one.
///
/// Reads no clock and does no I/O. Redis says on one connection, in order, which keys were changed. What is served
/// was current when the last `PING` that was answered on that connection was sent, or later, and
/// * is never older than `lease`: without an answer to a younger `PING` nothing is served;
/// * has the version that the client has seen, neither an older nor a newer one;
/// * is never from before a change or an end that this process has acknowledged;
/// * is never past the record's own deadline, because Redis may remove an expired key late and then says so late.
///
/// A read and the invalidation of its key travel on different connections, so a reply may be older than an invalidation
/// that came before it. Each read leaves a placeholder that the invalidation removes, and a reply without its
/// placeholder is not kept. Where invalidations may have been missed, all entries and all placeholders are removed.
struct NearCacheState<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    /// A read that Redis has been asked for.
    struct Read: Sendable {
        fileprivate let key: Key
        fileprivate let number: UInt64
        /// The local time before which the record was not read.
        let began: SessionInstant
    }

    enum Lookup: Sendable {
        /// The value, and the time since it was asked for: at least as long as Redis has had it.
        case hit(Value, age: Duration)
        /// Ask Redis; nil when the reply cannot be kept.
        case miss(Read?)
    }

    private struct Entry: Sendable {
        let value: Value
        let version: Int
        let began: SessionInstant
        var deadline: SessionInstant
        var isTouched = false
    }

    /// How long after a `PING` its answer lets entries be served.
    let lease: Duration
    private var entries: LeastRecentlyUsed<Key, Entry>
    /// The placeholders: the reads whose reply may still become an entry.
    private var reads: [Key: UInt64] = [:]
    private var lastRead: UInt64 = 0
    /// The time from which no entry is served; nil without a connection.
    private(set) var leaseEnd: SessionInstant?

    init(lease: Duration, maximumBytes: Int) {
        self.lease = lease
        entries = LeastRecentlyUsed(maximumBytes: maximumBytes)
    }

    var count: Int { entries.count }
    var bytes: Int { entries.bytes }

    // MARK: Reads

    /// Looks a record up for a client that has seen `version`.
    ///
    /// A client with an older version gets a newer one from Redis only, together with the knowledge that its secret was
    /// not replaced meanwhile: so it can be sent that version.
    mutating func lookedUp(_ key: Key, seen version: Int?, at now: SessionInstant) -> Lookup {
        guard let leaseEnd else { return .miss(nil) }
        if now < leaseEnd,
            let entry = entries.use(key, if: { $0.version == version && now < $0.deadline })
        {
            return .hit(entry.value, age: now - entry.began)
        }
        if let number = reads[key] { return .miss(Read(key: key, number: number, began: now)) }
        lastRead += 1
        reads[key] = lastRead
        return .miss(Read(key: key, number: lastRead, began: now))
    }

    /// Keeps what a read has found, if nothing was heard of its key meanwhile.
    ///
    /// - Parameters:
    ///   - value: the record.
    ///   - version: its version.
    ///   - bytes: what it counts.
    ///   - read: the read.
    ///   - remaining: how long it will live, counted from when it was read.
    mutating func found(_ value: Value, version: Int, bytes: Int, by read: Read, remaining: Duration) {
        guard reads[read.key] == read.number else { return }
        reads[read.key] = nil
        let entry = Entry(
            value: value,
            version: version,
            began: read.began,
            deadline: read.began + remaining
        )
        entries.store(entry, of: read.key, bytes: bytes)
    }

    /// Ends a read that has found nothing to keep: absence is not kept, so that invented IDs fill no memory.
    mutating func abandoned(_ read: Read) { if reads[read.key] == read.number { reads[read.key] = nil } }

    // MARK: Writes

    /// Notes that this process has changed or ended a record, or may have; before its caller is told.
    mutating func changed(_ key: Key) {
        entries.remove(key)
        reads[key] = nil
    }

    /// Returns whether a touch that is due must be sent; false for a copy that has just been touched.
    ///
    /// The copy is served for one more lease at most: when the touch is lost, the record that is read then is due again.
    mutating func touchRequested(_ key: Key, at now: SessionInstant) -> Bool {
        entries.update(key) { entry in
            if entry.isTouched, now < entry.deadline { return false }
            entry.isTouched = true
            entry.deadline = min(entry.deadline, now + lease)
            return true
        } ?? true
    }

    // MARK: Invalidations

    /// Notes that all invalidations from now on will be received.
    mutating func connected() { leaseEnd = SessionInstant(milliseconds: .min) }

    /// Notes that all invalidations up to the time at which the `PING` was sent were received, and perhaps later ones.
    mutating func pingAnswered(sent: SessionInstant) { leaseEnd = leaseEnd.map { max($0, sent + lease) } }

    /// Notes that a record was changed, perhaps by this process.
    mutating func invalidated(_ key: Key) { changed(key) }

    /// Notes that all records may have changed.
    mutating func flushed() {
        entries.removeAll()
        reads.removeAll()
    }

    /// Notes that invalidations may have been missed.
    mutating func disconnected() {
        flushed()
        leaseEnd = nil
    }
}
