// SPDX-License-Identifier: Apache-2.0

import Hiredis
import Sessions

/// The decisions of a near cache: which copy of a record may be served, and which reply may become one.
///
/// Reads no clock and does no I/O. Each server says on one connection, in order, which of its keys were changed. What is
/// served was current when the last `PING` that was answered on that connection was sent, or later, and
/// * is never older than `lease`: without an answer of its server to a younger `PING` nothing is served;
/// * was read where the key is now: from the same server, without a move of its slot since;
/// * has the version that the client has seen, neither an older nor a newer one;
/// * is never from before a change or an end that this process has acknowledged;
/// * is never past the record's own deadline, because Redis may remove an expired key late and then says so late.
///
/// A read and the invalidation of its key travel on different connections, so a reply may be older than an invalidation
/// that came before it. Each read leaves a placeholder that the invalidation removes, and a reply without its
/// placeholder is not kept. An entry is of the place that its read was meant for: when the reply came from another one, the
/// key is in another place by then, and the entry is not served. Where invalidations may have been missed, all entries
/// and all placeholders of that server are removed.
struct NearCacheState<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    /// A read that Redis has been asked for.
    struct Read: Sendable {
        fileprivate let key: Key
        fileprivate let number: UInt64
        fileprivate let place: RedisPlacement
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
        let place: RedisPlacement
        let began: SessionInstant
        var deadline: SessionInstant
        var isTouched = false
    }

    /// How long after a `PING` its answer lets entries be served.
    let lease: Duration
    private var entries: LeastRecentlyUsed<Key, Entry>
    /// The placeholders: the reads whose reply may still become an entry.
    private var reads: [Key: Read] = [:]
    private var lastRead: UInt64 = 0
    /// The time from which no entry of a server is served; none without a connection to it.
    private(set) var leaseEnds: [Int: SessionInstant] = [:]

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
    ///
    /// - Parameters:
    ///   - key: the record.
    ///   - place: where it is by now; nil while that is not known.
    ///   - version: what the client has seen.
    ///   - now: the local time.
    /// - Returns: the copy, or what the reply of Redis may become.
    mutating func lookedUp(
        _ key: Key,
        in place: RedisPlacement?,
        seen version: Int?,
        at now: SessionInstant
    ) -> Lookup {
        guard let place, let leaseEnd = leaseEnds[place.node] else { return .miss(nil) }
        if now < leaseEnd,
            let entry = entries.use(
                key,
                if: { $0.version == version && $0.place == place && now < $0.deadline }
            )
        {
            return .hit(entry.value, age: now - entry.began)
        }
        if let read = reads[key], read.place == place {
            return .miss(Read(key: key, number: read.number, place: place, began: now))
        }
        lastRead += 1
        let read = Read(key: key, number: lastRead, place: place, began: now)
        reads[key] = read
        return .miss(read)
    }

    /// Keeps what a read has found, if nothing was heard of its key meanwhile; it is served as long as the key is where it
    /// was when the read began.
    ///
    /// - Parameters:
    ///   - value: the record.
    ///   - version: its version.
    ///   - bytes: what it counts.
    ///   - read: the read.
    ///   - remaining: how long it will live, counted from when it was read.
    mutating func found(_ value: Value, version: Int, bytes: Int, by read: Read, remaining: Duration) {
        guard reads[read.key]?.number == read.number else { return }
        reads[read.key] = nil
        let entry = Entry(
            value: value,
            version: version,
            place: read.place,
            began: read.began,
            deadline: read.began + remaining
        )
        entries.store(entry, of: read.key, bytes: bytes)
    }

    /// Ends a read that has found nothing to keep: absence is not kept, so that invented IDs fill no memory.
    mutating func abandoned(_ read: Read) {
        if reads[read.key]?.number == read.number { reads[read.key] = nil }
    }

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

    /// Notes that all invalidations of a server from now on will be received.
    mutating func connected(to node: Int) { leaseEnds[node] = SessionInstant(milliseconds: .min) }

    /// Notes that all invalidations of a server up to the time at which the `PING` was sent were received, and perhaps
    /// later ones.
    mutating func pingAnswered(by node: Int, sent: SessionInstant) {
        leaseEnds[node] = leaseEnds[node].map { max($0, sent + lease) }
    }

    /// Notes that a record was changed, perhaps by this process.
    mutating func invalidated(_ key: Key) { changed(key) }

    /// Notes that all records of a server may have changed.
    mutating func flushed(_ node: Int) {
        entries.removeAll { $0.place.node == node }
        reads = reads.filter { $0.value.place.node != node }
    }

    /// Notes that invalidations of a server may have been missed.
    mutating func disconnected(from node: Int) {
        flushed(node)
        leaseEnds[node] = nil
    }
}
