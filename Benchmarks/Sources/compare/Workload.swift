// SPDX-License-Identifier: Apache-2.0

import TestSupport

/// The visitors, and the ways in which they load the site.
struct Workload: Sendable {
    let plan: Plan
    let visitors: [Visitor]

    init(_ plan: Plan) {
        self.plan = plan
        visitors = (1...plan.visitors).map { Visitor(number: $0, plan: plan) }
    }

    /// Gives every visitor a session, signed in where that is the role.
    func prepare(_ site: Site, _ log: PhaseLog) async { await each { await $0.prepare(site, log) } }

    /// As many requests as `concurrency` visitors at a time can send.
    func press(_ site: Site, _ log: PhaseLog, seconds: Double) async {
        let end = ContinuousClock.now + .seconds(seconds)
        await withTaskGroup { group in
            for worker in 0..<plan.concurrency {
                let own = stride(from: worker, to: visitors.count, by: plan.concurrency).map { visitors[$0] }
                group.addTask {
                    while true {
                        for visitor in own {
                            guard ContinuousClock.now < end else { return }
                            await visitor.step(site, log, signsInAndOut: true)
                        }
                    }
                }
            }
        }
    }

    /// Light load: every visitor for itself, with pauses, so that one who waits holds up nobody else.
    ///
    /// Nobody signs in or out: whether that went through when no answer came is not to be known.
    func stroll(_ site: Site, _ log: PhaseLog, seconds: Double) async {
        let end = ContinuousClock.now + .seconds(seconds)
        await withTaskGroup { group in
            for visitor in visitors {
                group.addTask {
                    // They are there already when the phase begins, each somewhere in its pause.
                    var next =
                        ContinuousClock.now + (await visitor.pause(around: plan.pace))
                        * Double.random(in: 0...1)
                    while next < end {
                        try? await Task.sleep(until: next, clock: .continuous)
                        await visitor.step(site, log, signsInAndOut: false)
                        next = ContinuousClock.now + (await visitor.pause(around: plan.pace))
                    }
                }
            }
        }
    }

    /// Every visitor reads its session back, several times if it must: an instance may still be wary of a
    /// store that is back.
    func audit(_ site: Site, _ log: PhaseLog) async {
        await each { visitor in
            for _ in 0..<20 {
                if await visitor.read(site, log) { return }
                try? await Task.sleep(for: .milliseconds(250))
            }
        }
    }

    /// Waits until the balancer sends a new visitor to this instance; seconds of the phase, nil when it never
    /// happens.
    func arrival(at instance: Int, _ site: Site, _ log: PhaseLog, until end: Double) async -> Double? {
        while log.now < end {
            if let answer = try? await site.send("GET", "/none", by: newcomer()), answer.instance == instance
            {
                return log.now
            }
            try? await Task.sleep(for: .milliseconds(10))
        }
        return nil
    }

    /// How many of the visitors' sessions an instance shows, of how many.
    func known(at instance: Site) async -> Share {
        var share = Share()
        for visitor in visitors where await visitor.hasSession {
            share.total += 1
            if await visitor.copyKnows(instance) == true { share.part += 1 }
        }
        return share
    }

    /// Fills the stores with sessions of visitors who never come back.
    func fill(_ site: Site, sessions: Int) async {
        let path = "/set?k=note&v=\(String(repeating: "x", count: plan.payloadBytes))"
        await withTaskGroup { group in
            for worker in 0..<min(plan.concurrency, max(1, sessions)) {
                group.addTask {
                    for _ in stride(from: worker, to: sessions, by: plan.concurrency) {
                        _ = try? await site.send("POST", path, by: newcomer())
                    }
                }
            }
        }
    }

    /// A browser without cookies.
    private func newcomer() -> Browser { Browser(seconds: plan.requestSeconds) }

    /// Runs `body` for every visitor, `concurrency` of them at a time.
    func each(_ body: @escaping @Sendable (Visitor) async -> Void) async {
        await withTaskGroup { group in
            for worker in 0..<plan.concurrency {
                group.addTask {
                    for index in stride(from: worker, to: visitors.count, by: plan.concurrency) {
                        await body(visitors[index])
                    }
                }
            }
        }
    }
}

/// So many of so many.
struct Share: Sendable, Equatable {
    var part = 0
    var total = 0
}
