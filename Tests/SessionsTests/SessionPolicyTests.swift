// SPDX-License-Identifier: Apache-2.0

import Sessions
import SessionsTesting
import Testing

@Suite struct `Session policy` {
    private let start = SessionInstant(milliseconds: 1_800_000_000_000)

    private func times(
        used: Duration = .zero,
        rotated: Duration = .zero,
        idle: Duration = .seconds(1800),
        lifetime: Duration = .seconds(43_200)
    ) -> SessionTimes {
        SessionTimes(
            created: start,
            lastUsed: start + used,
            rotated: start + rotated,
            deadline: start + lifetime,
            idleTimeout: idle
        )
    }

    private func isTouchDue(
        _ policy: SessionPolicy = SessionPolicy(),
        used: Duration = .zero,
        now: Duration,
        idle: Duration = .seconds(1800),
        jitter: Double = 0
    ) -> Bool {
        policy.isTouchDue(times(used: used, idle: idle), now: start + now, jitter: jitter)
    }

    // MARK: Ends

    @Test func `the nearer limit ends the session`() {
        #expect(times().expiry == start + .seconds(1800))
        #expect(times(used: .seconds(43_000)).expiry == start + .seconds(43_200))
        #expect(times(used: .seconds(41_400)).expiry == start + .seconds(43_200))
        #expect(times(idle: .seconds(Int64.max)).expiry == start + .seconds(43_200))
    }

    @Test func `at the idle deadline the session is over, a millisecond before it is not`() async throws {
        let site = try Site()
        let cookie = try await site.start()
        site.clock.advance(by: .milliseconds(1_799_999))
        #expect(try await site.record(cookie) != nil)
        site.clock.advance(by: .milliseconds(1))
        #expect(try await site.record(cookie) == nil)
        try await site.send(cookie) { session in #expect(session.id == nil && session.expiresIn == nil) }
        #expect(site.events() == [.unknown])
    }

    @Test func `each use restarts the idle timeout, and none moves the absolute deadline`() async throws {
        let site = try Site(
            policy: SessionPolicy(idleTimeout: .seconds(600), lifetime: .seconds(3600), touchFraction: 0)
        )
        let cookie = try await site.start()
        for _ in 0..<6 {
            site.clock.advance(by: .milliseconds(599_999))
            try await site.send(cookie) { #expect($0[.item] == "tea") }
        }
        site.clock.advance(by: .milliseconds(5))
        #expect(try await site.record(cookie) != nil)
        site.clock.advance(by: .milliseconds(1))
        #expect(try await site.record(cookie) == nil)
    }

    @Test func `a sign-in restarts the lifetime, a renewal does not`() async throws {
        let site = try Site(policy: SessionPolicy(idleTimeout: .seconds(3600), lifetime: .seconds(3600)))
        var cookie = try await site.start()
        let deadline = try await site.found(cookie).times.deadline
        site.clock.advance(by: .seconds(1000))
        cookie = try #require(try await site.send(cookie) { try $0.renew() }.cookie)
        #expect(try await site.record(cookie)?.times.deadline == deadline)
        cookie = try #require(try await site.send(cookie) { try $0.signIn(as: "ann") }.cookie)
        #expect(try await site.record(cookie)?.times.deadline == deadline + .seconds(1000))
    }

    // MARK: Touch

    @Test func `a touch is due after the fraction, or up to a quarter of it earlier`() {
        let policy = SessionPolicy()
        #expect(!isTouchDue(policy, now: .milliseconds(179_999), jitter: 0))
        #expect(isTouchDue(policy, now: .milliseconds(180_000), jitter: 0))
        #expect(!isTouchDue(policy, now: .milliseconds(134_999), jitter: 1))
        #expect(isTouchDue(policy, now: .milliseconds(135_000), jitter: 1))
        #expect(isTouchDue(policy, used: .seconds(100), now: .seconds(300), jitter: 0))
        #expect(!isTouchDue(policy, used: .seconds(200), now: .seconds(300), jitter: 0))
    }

    @Test func `the fraction 0 touches each time`() {
        #expect(isTouchDue(SessionPolicy(touchFraction: 0), now: .zero, jitter: 0.99))
    }

    @Test func `a touch that could not move the end is never due`() {
        let always = SessionPolicy(touchFraction: 0)
        #expect(!isTouchDue(always, used: .seconds(41_400), now: .seconds(43_000)))
        #expect(!isTouchDue(now: .seconds(43_000), idle: .seconds(Int64.max)))
    }

    @Test func `a clock that went back makes no touch due`() {
        #expect(!isTouchDue(now: .seconds(-100_000)))
    }

    @Test func `reads touch as often as the fraction asks, and a write needs no touch`() async throws {
        let site = try Site()
        let cookie = try await site.start()
        for _ in 0..<134 {
            site.clock.advance(by: .seconds(1))
            try await site.send(cookie)
        }
        #expect(site.store.counts[.touch] == nil)
        site.clock.advance(by: .seconds(46))
        try await site.send(cookie)
        try await site.send(cookie)
        #expect(site.store.counts[.touch] == 1)
        site.clock.advance(by: .seconds(1000))
        try await site.send(cookie) { try $0.set(.item, "cake") }
        try await site.send(cookie)
        #expect(site.store.counts[.touch] == 1)
    }

    // MARK: Uses

    @Test func `a stricter policy concerns the sessions that exist`() async throws {
        let site = try Site(policy: SessionPolicy(idleTimeout: .seconds(3600)))
        let cookie = try await site.start()
        let stricter = try Site(policy: SessionPolicy(idleTimeout: .seconds(60)), sharing: site)
        site.clock.advance(by: .seconds(59))
        try await stricter.send(cookie) { session in
            #expect(session[.item] == "tea")
            #expect(session.expiresIn == .seconds(60))
        }
        site.clock.advance(by: .seconds(60))
        try await stricter.send(cookie) { #expect($0[.item] == nil) }
        // It is not ended, so a policy that was wrong can be taken back.
        try await site.send(cookie) { #expect($0[.item] == "tea") }
    }

    @Test func `a shorter lifetime counts from the sign-in`() async throws {
        let site = try Site()
        let visitor = try await site.start()
        site.clock.advance(by: .seconds(100))
        let cookie = try #require(try await site.send(visitor) { try $0.signIn(as: "ann") }.cookie)
        let stricter = try Site(policy: SessionPolicy(lifetime: .seconds(60)), sharing: site)
        site.clock.advance(by: .seconds(59))
        try await stricter.send(cookie) { session in
            #expect(session.principal == "ann" && session.expiresIn == .seconds(1))
            #expect(session.isAuthenticated(within: .seconds(59)))
            #expect(!session.isAuthenticated(within: .seconds(58)))
            #expect(session.authenticatedAt == site.clock.now + .seconds(-59))
        }
        site.clock.advance(by: .seconds(1))
        try await stricter.send(cookie) { session in
            #expect(session.principal == nil && !session.isAuthenticated(within: .seconds(99)))
            try session.signIn(as: "ann")
            #expect(session.isAuthenticated(within: .zero))
        }
    }

    @Test func `a passive request reads and is no use`() async throws {
        let site = try Site()
        let cookie = try await site.start()
        site.clock.advance(by: .seconds(1000))
        for (passive, touches) in [([true], 0), ([true, true], 0), ([true, false], 1), ([false, true], 1)] {
            let before = site.store.counts[.touch] ?? 0
            let exchange = site.open(cookie)
            for isPassive in passive {
                let session = try await exchange.session(isPassive: isPassive)
                #expect(session[.item] == "tea")
            }
            _ = try await site.close(exchange, cookie)
            #expect((site.store.counts[.touch] ?? 0) - before == touches, "\(passive)")
            if touches > 0 { site.clock.advance(by: .seconds(1000)) }
        }
        let exchange = site.open(cookie)
        try await exchange.session(isPassive: true).set(.item, "cake")
        _ = try await site.close(exchange, cookie)
        site.clock.advance(by: .seconds(1799))
        #expect(try await site.read(cookie, .item) == "cake")
    }

    @Test func `a handler can keep the session alive`() async throws {
        let site = try Site()
        let cookie = try await site.start()
        let exchange = site.open(cookie)
        let session = try await exchange.session()
        for _ in 0..<3 {
            site.clock.advance(by: .seconds(1700))
            try await session.keepAlive()
        }
        try session.set(.item, "cake")
        _ = try await site.close(exchange, cookie)
        #expect(try await site.read(cookie, .item) == "cake")
        try await site.send { session in try await session.keepAlive() }
    }

    // MARK: Renewal

    @Test func `a renewal is due at the interval`() {
        let policy = SessionPolicy(renewalInterval: .seconds(600))
        #expect(!policy.isRenewalDue(times(), now: start + .milliseconds(599_999)))
        #expect(policy.isRenewalDue(times(), now: start + .milliseconds(600_000)))
        #expect(!policy.isRenewalDue(times(rotated: .seconds(101)), now: start + .seconds(700)))
        #expect(!SessionPolicy().isRenewalDue(times(), now: start + .seconds(43_000)))
    }

    // MARK: Arithmetic

    @Test func `instants stop at the ends of their range`() {
        let last = SessionInstant(milliseconds: .max)
        let first = SessionInstant(milliseconds: .min)
        for long in [Duration.seconds(Int64.max), .seconds(Int64.max / 1000), .milliseconds(Int64.max)] {
            #expect(start + long == last && last + long == last)
        }
        #expect(
            SessionInstant(milliseconds: -1) + .seconds(Int64.min) == first && first + .seconds(-1) == first
        )
        #expect(last + .seconds(-1) < last && start + .zero == start)
        #expect(
            start + .milliseconds(5) - start == .milliseconds(5)
                && start - (start + .seconds(5)) == .seconds(-5)
        )
        #expect(
            Duration.seconds(Int64.max).wholeMilliseconds == .max
                && Duration.seconds(Int64.min).wholeMilliseconds == .min
        )
        #expect(Duration.microseconds(1999).wholeMilliseconds == 1)
        let endless = SessionTimes(
            startingAt: start,
            idleTimeout: .seconds(Int64.max),
            lifetime: .seconds(Int64.max)
        )
        #expect(endless.deadline == last && endless.expiry == last)
        #expect(times(idle: .seconds(-5)).expiry < start)
    }

    @Test func `the longest timeouts work`() async throws {
        let century = Duration.seconds(100 * 366 * 86_400)
        let policy = SessionPolicy(
            idleTimeout: century,
            lifetime: century,
            touchFraction: 0.5,
            renewalInterval: .seconds(Int64.max)
        )
        let site = try Site(policy: policy, cookie: SessionCookie(persistence: .persistent))
        let answer = try await site.send { try $0.set(.item, "tea") }
        #expect(answer.setCookie?.contains("Max-Age=34560000") == true)
        let cookie = try #require(answer.cookie)
        site.clock.advance(by: century)
        site.clock.advance(by: .milliseconds(-1))
        #expect(try await site.record(cookie) != nil)
        site.clock.advance(by: .milliseconds(1))
        #expect(try await site.record(cookie) == nil)
    }

    // MARK: Configuration

    @Test func `the defaults and presets are what they say`() throws {
        func check(_ policy: SessionPolicy, idle: Duration, lifetime: Duration) throws {
            try policy.validate()
            #expect(policy.idleTimeout == idle && policy.lifetime == lifetime)
            #expect(
                policy.touchFraction == 0.1 && policy.renewalInterval == nil
                    && policy.renewalGrace == .seconds(30)
            )
            #expect(!policy.endsOnTheft)
        }
        try check(SessionPolicy(), idle: .seconds(30 * 60), lifetime: .seconds(12 * 3600))
        try check(.aal1, idle: .seconds(14 * 86_400), lifetime: .seconds(30 * 86_400))
        try check(.aal2, idle: .seconds(3600), lifetime: .seconds(24 * 3600))
        try check(.aal3, idle: .seconds(15 * 60), lifetime: .seconds(12 * 3600))
    }

    @Test(arguments: [
        (SessionPolicy(idleTimeout: .milliseconds(999)), "idleTimeout is below 1 s"),
        (SessionPolicy(idleTimeout: .seconds(Int64.max)), "idleTimeout is above 100 years"),
        (SessionPolicy(idleTimeout: .zero), "idleTimeout is below 1 s"),
        (SessionPolicy(idleTimeout: .seconds(-1)), "idleTimeout is below 1 s"),
        (SessionPolicy(lifetime: .milliseconds(999)), "lifetime is below 1 s"),
        (SessionPolicy(lifetime: .seconds(Int64.min)), "lifetime is below 1 s"),
        (SessionPolicy(lifetime: .seconds(Int64.max)), "lifetime is above 100 years"),
        (SessionPolicy(lifetime: .seconds(100 * 366 * 86_400 + 1)), "lifetime is above 100 years"),
        (SessionPolicy(touchFraction: -0.01), "touchFraction"),
        (SessionPolicy(touchFraction: 0.51), "touchFraction"),
        (SessionPolicy(touchFraction: .nan), "touchFraction"),
        (SessionPolicy(touchFraction: .infinity), "touchFraction"),
        (SessionPolicy(renewalGrace: .milliseconds(-1)), "renewalGrace"),
        (SessionPolicy(renewalGrace: .milliseconds(300_001)), "renewalGrace"),
        (SessionPolicy(renewalInterval: .seconds(30)), "renewalInterval"),
        (SessionPolicy(renewalInterval: .zero, renewalGrace: .zero), "renewalInterval"),
    ]) func `what makes no sense is refused at start, by name`(policy: SessionPolicy, sentence: String) throws
    {
        let store = try MemorySessionStore()
        let error = #expect(throws: SessionError.self) { try SessionManager(store: store, policy: policy) }
        #expect(error?.code == .invalidConfiguration)
        #expect(error?.message.hasPrefix(sentence) == true && error?.message.hasSuffix(".") == true)
    }

    @Test func `the bounds themselves are allowed`() throws {
        try SessionPolicy(
            idleTimeout: .seconds(1),
            lifetime: .seconds(1),
            touchFraction: 0.5,
            renewalGrace: .zero
        ).validate()
        try SessionPolicy(
            lifetime: .seconds(100 * 366 * 86_400),
            renewalInterval: .milliseconds(300_001),
            renewalGrace: .seconds(300)
        )
        .validate()
        try SessionPolicy(idleTimeout: .seconds(7200), lifetime: .seconds(3600), touchFraction: 0).validate()
    }

    @Test(arguments: [
        SessionLimits(bytes: 0), SessionLimits(bytes: -1), SessionLimits(bytes: 4_194_305),
        SessionLimits(attributes: 0),
        SessionLimits(attributes: 1025),
    ]) func `limits that make no sense are refused at start`(limits: SessionLimits) throws {
        let store = try MemorySessionStore()
        #expect(throws: SessionError(.invalidConfiguration, "")) {
            try SessionManager(store: store, limits: limits)
        }
    }

    @Test func `a cookie that no browser would keep is refused at start, one without Secure is warned about`()
        throws
    {
        #expect(throws: SessionError(.invalidConfiguration, "")) {
            try Site(cookie: SessionCookie(path: "/shop"))
        }
        #expect(try Site(cookie: .plainHTTP()).recorder.lines.filter { $0.hasPrefix("warning") }.count == 1)
        #expect(try Site().recorder.lines.isEmpty)
    }
}

extension SessionPolicy {
    /// Creates a policy whose reads move the deadline more or less often.
    init(
        idleTimeout: Duration = .seconds(30 * 60),
        lifetime: Duration = .seconds(12 * 3600),
        touchFraction: Double,
        renewalInterval: Duration? = nil,
        renewalGrace: Duration = .seconds(30)
    ) {
        self.init(
            idleTimeout: idleTimeout,
            lifetime: lifetime,
            renewalInterval: renewalInterval,
            renewalGrace: renewalGrace
        )
        self.touchFraction = touchFraction
    }
}
