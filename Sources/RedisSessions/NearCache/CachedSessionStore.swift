// SPDX-License-Identifier: Apache-2.0

public import Sessions

// swift-format-ignore: AllPublicDeclarationsHaveDocumentation
// The operations are documented in `SessionStore`.
/// Sessions in Redis, with a near cache: a session that is in use is read from the memory of the instance.
///
/// Run it as a service, after the `RedisClient`: `run()` keeps one connection, in a cluster one to each primary, on which
/// Redis reports what was changed (client-side caching, `CLIENT TRACKING` in broadcast mode). Until it runs, and while that
/// connection is down, each read asks Redis, as without the cache.
///
/// Guarantees and limits:
/// * Changes and ends of other instances are visible after `lease` at most, usually after a millisecond. The bound holds
///   also when invalidations are late or Redis is frozen: without an answer to a `PING` that is younger than the lease, reads ask
///   Redis. Redis answers a `PING` before it tells what it has done in the same turn of its event loop, so that turn
///   comes on top.
/// * In a cluster, this holds for each primary alone, also for one that was cut off or replaced and has not noticed. What
///   was read before a slot moved, or from another node than its owner, is not served once this client knows; a slot whose
///   keys are not moved one by one (atomic slot migration) may be known only by the first command that is sent elsewhere.
/// * With sentinels, no copy outlives the client's connections to a primary. Run the client, too: without `run()` it learns
///   of a failover when the old primary is lost, or refuses a write.
/// * A client is never shown less than it has seen, on any instance: the cookie carries the version, and a copy of
///   another version is not served.
/// * What this instance has changed or ended is never served from a copy after its caller was told.
/// * Absence is not kept: a session that was not found is asked for again.
/// * The last use that other instances see is exact to the touch fraction of the policy, as without the cache.
///
/// Cost: load no round trip for a hit, otherwise 1 (`HGETALL`, `PTTL`); all else as `RedisSessionStore`, and one round
/// trip more for a commit that meets another one. Each change of a session, a touch included, is a message to every
/// instance, and a read on each that goes on to use it. Per instance and server one connection, and `PING` four times in a
/// lease; in a cluster `EXISTS` before each.
/// Needs Redis 6 or later; `accessRules(application:)` are the least rights that suffice. A client that ignores the
/// cookies of responses reads as without the cache, once its session has changed. `SWAPDB` is not noticed.
public struct CachedSessionStore: SessionStore {
    let base: RedisSessionStore
    let cache: NearCache
    let client: RedisClient

    /// Creates a store; opens no connection.
    ///
    /// - Parameters:
    ///   - store: the sessions; it must read from the primary (`SessionReads`), because Redis reports changes in the order in
    ///     which that server has made them.
    ///   - lease: how old a copy may be that is served; 100 ms to 1 minute, 1 s by default.
    ///   - maximumBytes: about how much memory the copies may take, 64 MiB by default: what was used least recently makes
    ///     room. A session takes 1 KiB and its attributes.
    /// - Throws: `.invalidConfiguration`; the message says what to change.
    public init(
        _ store: RedisSessionStore,
        lease: Duration = .seconds(1),
        maximumBytes: Int = 64 << 20
    ) throws(SessionError) {
        guard (.milliseconds(100) ... .seconds(60)).contains(lease) else {
            throw SessionError(.invalidConfiguration, "lease must be between 100 milliseconds and 1 minute.")
        }
        guard maximumBytes > 0 else {
            throw SessionError(.invalidConfiguration, "maximumBytes must be above zero.")
        }
        guard store.reads == .primary else {
            throw SessionError(
                .invalidConfiguration,
                "The near cache is filled from the primary: its store needs reads: .primary."
            )
        }
        guard let client = store.redis.redis else {
            throw SessionError(
                .invalidConfiguration,
                "The near cache needs invalidation messages: its store needs a RedisClient."
            )
        }
        self.client = client
        var base = store
        let cache = NearCache(keyPrefix: store.schema.sessions, lease: lease, maximumBytes: maximumBytes)
        base.ended = { cache.changed($0) }
        base.cookiesCarryVersion = true
        self.base = base
        self.cache = cache
    }

    public func load(_ credential: SessionCredential) async throws(SessionError) -> SessionLoadResult {
        guard let token = SessionToken(credential) else { return .absent(.malformed) }
        switch cache.lookedUp(token.id, in: place(of: token.id), seen: token.version) {
        case .hit(let copy, let age):
            if let record = copy.opened(with: token, base.crypto, after: age) { return .found(record) }
            // A refusal comes from what is stored now.
            return try await base.load(credential)
        case .miss(let read):
            defer { if let read { cache.abandoned(read) } }
            let load = try await base.load(credential)
            if let read, case .found(let record) = load, let copy = CachedSession(record) {
                cache.found(copy, by: read)
            }
            return load
        }
    }

    public func create(_ draft: SessionDraft) async throws(SessionError) -> SessionCommitResult {
        try await base.create(draft)
    }

    public func commit(
        _ change: SessionChange,
        to record: SessionRecord
    ) async throws(SessionError) -> SessionCommitResult {
        defer { cache.changed([record.id]) }
        return try await base.commit(change, to: record)
    }

    public func touch(_ record: SessionRecord, isDue: Bool) async throws(SessionError) -> SessionCredential? {
        try await base.touch(record, isDue: isDue && cache.touchRequested(record.id))
    }

    public func end(_ record: SessionRecord) async throws(SessionError) -> SessionEndResult {
        defer { cache.changed([record.id]) }
        return try await base.end(record)
    }

    /// Returns when the server answers and lets this user do all that is needed; for readiness checks.
    ///
    /// One round trip. A missing right is an error that names it. An invalidation connection that is down is not an
    /// error.
    public func check() async throws(SessionError) {
        try await base.check()
        guard let refusal = cache.refusal else { return }
        throw SessionError(
            .storeUnavailable,
            """
            Redis does not let this user run \(refusal.command) for the near cache; grant +client|id, \
            +client|tracking, +subscribe and &\(NearCache.channel) in the ACL. It needs Redis 6 or later.
            """,
            underlying: refusal.error
        )
    }

    /// Where Redis has a session, by what the client knows.
    private func place(of id: SessionID) -> RedisPlacement? {
        client.placement(of: base.schema.session(id))
    }
}
