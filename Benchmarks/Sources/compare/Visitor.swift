// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport

/// One visitor with a browser and a memory: sends one request after the other and checks each session that
/// it reads.
actor Visitor {
    /// What a visitor does on the site.
    enum Role: Sendable {
        /// Looks around and never stores anything.
        case guest
        /// Stores, without ever signing in.
        case shopper
        /// Stores, signs in, and now and then out and in again.
        case member
    }

    private static let itemLimit = 16
    /// Names that a sign-in keeps.
    private static let kept = "mark,items,count,note"

    let role: Role
    private let payload: String
    private let browser: Browser
    private var history: History
    private var generator: SeededGenerator
    private var doubts = 0

    init(number: Int, plan: Plan) {
        role = number % 5 == 0 ? .guest : number % 5 < 3 ? .shopper : .member
        history = History(user: "v\(number)")
        browser = Browser(seconds: plan.requestSeconds)
        payload = String(repeating: "x", count: plan.payloadBytes)
        generator = SeededGenerator(seed: plan.seed &* 1_000_003 &+ UInt64(number))
    }

    /// How many bytes of cookies each request carries.
    var cookieBytes: Int { browser.cookieField?.utf8.count ?? 0 }
    /// Whether a session of this visitor is expected to be there.
    var hasSession: Bool { history.isBorn == .yes }
    /// Whether the visitor is expected to be signed in.
    var isSignedIn: Bool { history.isSignedIn == .yes }

    /// A random pause around `mean`, so that visitors do not march in step.
    func pause(around mean: Duration) -> Duration { mean * Double.random(in: 0.5...1.5, using: &generator) }

    /// Makes sure that the session is there, filled, and signed in where that is the role.
    func prepare(_ site: Site, _ log: PhaseLog) async {
        guard role != .guest else {
            await read(site, log)
            return
        }
        if history.isBorn != .yes { await write(.birth, site, log) }
        await write(.note(history.nextNote), site, log)
        await write(.append(history.nextItem), site, log)
        if role == .member, history.isSignedIn != .yes { await write(.signIn, site, log) }
        await read(site, log)
    }

    /// Sends one request of the mix: a third untouched, a third reads, a third writes; rarely a sign-in or
    /// sign-out.
    func step(_ site: Site, _ log: PhaseLog, signsInAndOut: Bool) async {
        let dice = Int.random(in: 0..<100, using: &generator)
        if role != .guest, history.isBorn != .yes { return await write(.birth, site, log) }
        if signsInAndOut, role == .member {
            if history.isSignedIn == .no { return await write(.signIn, site, log) }
            if dice == 99 { return await write(.signOut, site, log) }
        }
        switch dice {
        case ..<35: await touchNothing(site, log)
        case ..<70: await read(site, log)
        default:
            guard role != .guest else { return await touchNothing(site, log) }
            if dice < 80 {
                await write(
                    history.items.count < Self.itemLimit ? .append(history.nextItem) : .clearItems,
                    site,
                    log
                )
            } else if dice < 90 {
                await write(.increment, site, log)
            } else {
                await write(.note(history.nextNote), site, log)
            }
        }
    }

    /// Reads the session and judges what it shows; what looks wrong is read again before it counts as lost.
    ///
    /// False when it was not answered and the question is still open.
    @discardableResult
    func read(_ site: Site, _ log: PhaseLog) async -> Bool {
        var asked = ContinuousClock.now
        guard let first = await look(site, log) else { return false }
        var sight = first
        var verdict = history.judge(sight)
        var pause = Duration.milliseconds(25)
        while verdict == .gone || verdict.isBehind {
            doubts += 1
            if pause > .milliseconds(400) {
                settle(verdict, sight, asked, log)
                return true
            }
            try? await Task.sleep(for: pause)
            pause = pause * 2
            asked = .now
            // Refused or cut: the next read of the mix goes on with the doubt.
            guard let again = await look(site, log) else { return false }
            sight = again
            verdict = history.judge(sight)
        }
        settle(verdict, sight, asked, log)
        return true
    }

    /// What a copy of this visitor's cookies shows on `site`; the visitor itself learns nothing from it.
    func copyKnows(_ site: Site) async -> Bool? {
        guard let answer = try? await site.send("GET", "/whoami", by: browser.clone()), answer.status == 200,
            let sight = Self.sight(answer.body)
        else { return nil }
        return sight.birth == history.mark && history.judge(sight) != .gone
    }

    /// Two tabs append at the same time, both with the cookies of now; then the session is read.
    ///
    /// Returns how many of the two were acknowledged.
    func writeInTwoTabs(_ site: Site, _ log: PhaseLog) async -> Int {
        let items = [history.nextItem, history.nextItem + 1]
        let cookies = browser.cookieField
        let asked = ContinuousClock.now
        async let left = site.send("POST", "/append?k=items&v=\(items[0])", by: browser, cookies: cookies)
        async let right = site.send("POST", "/append?k=items&v=\(items[1])", by: browser, cookies: cookies)
        var acknowledged = 0
        for (item, answer) in zip(items, [try? await left, try? await right]) {
            if answer?.status == 200 {
                acknowledged += 1
                history.acknowledged(.append(item), askedAt: asked)
            } else {
                history.leftOpen(.append(item), until: asked + History.patience)
            }
        }
        await read(site, log)
        return acknowledged
    }

    /// Whether a thief's copy of a browser is signed in.
    static func opensSignedInSession(_ thief: Browser, _ site: Site) async -> Bool {
        guard let answer = try? await site.send("GET", "/whoami", by: thief), answer.status == 200
        else { return false }
        return sight(answer.body)?.principal != nil
    }

    /// Signs out and returns a copy of the browser from before, as a thief would have it.
    func signOutKeepingCopy(_ site: Site, _ log: PhaseLog) async -> Browser {
        let copy = browser.clone()
        await write(.signOut, site, log)
        return copy
    }

    private func touchNothing(_ site: Site, _ log: PhaseLog) async {
        _ = await send("GET", "/none", .untouched, site, log)
    }

    private func write(_ write: History.Write, _ site: Site, _ log: PhaseLog) async {
        let path =
            switch write {
            case .birth: "/set?k=mark&v=\(history.mark)"
            case .append(let item): "/append?k=items&v=\(item)"
            case .clearItems: "/remove?k=items"
            case .increment: "/increment?k=count"
            case .note(let number): "/set?k=note&v=\(number).\(payload)"
            case .signIn: "/login?user=\(history.user)&keep=\(Self.kept)"
            case .signOut: "/logout"
            }
        let kind: Sample.Kind = write == .signIn || write == .signOut ? .signIn : .write
        let asked = ContinuousClock.now
        if await send("POST", path, kind, site, log) != nil {
            history.acknowledged(write, askedAt: asked)
        } else {
            history.leftOpen(write, until: asked + History.patience)
        }
    }

    private func look(_ site: Site, _ log: PhaseLog) async -> History.Sight? {
        await send("GET", "/whoami", .read, site, log).flatMap { Self.sight($0.body) }
    }

    /// One request, measured; nil unless it went well.
    private func send(
        _ method: String,
        _ path: String,
        _ kind: Sample.Kind,
        _ site: Site,
        _ log: PhaseLog
    ) async -> Reply? {
        let start = log.now
        let answer = try? await site.send(method, path, by: browser)
        let outcome: Sample.Outcome =
            answer?.status == 200
            ? .good : answer?.status == 503 && answer?.instance != 0 ? .refused : .failed
        log.add(
            Sample(
                start: start,
                seconds: log.now - start,
                kind: kind,
                outcome: outcome,
                instance: answer?.instance ?? 0
            )
        )
        return outcome == .good ? answer : nil
    }

    private func settle(
        _ verdict: History.Verdict,
        _ sight: History.Sight,
        _ asked: ContinuousClock.Instant,
        _ log: PhaseLog
    ) {
        let doubts = doubts
        self.doubts = 0
        switch verdict {
        case .current:
            history.saw(sight, askedAt: asked)
            if doubts > 0 { log.find { $0.staleReads += doubts } }
        case .behind(let missing):
            history.lostUpdates(sight)
            log.find { $0.lostUpdates += missing }
        case .gone:
            history.lost(sight)
            log.find { $0.lostSessions += 1 }
        case .foreign:
            log.find { $0.foreignReads += 1 }
        }
    }

    private struct WhoAmI: Decodable {
        struct Values: Decodable {
            var mark: String?
            var items: [String]?
            var count: Int?
            var note: String?
        }
        var principal: String?
        var values: Values
    }

    private static func sight(_ body: String) -> History.Sight? {
        guard let answer = try? JSONDecoder().decode(WhoAmI.self, from: Data(body.utf8)) else { return nil }
        return History.Sight(
            principal: answer.principal,
            birth: answer.values.mark,
            items: Set((answer.values.items ?? []).compactMap { Int($0) }),
            count: answer.values.count ?? 0,
            note: answer.values.note.flatMap { Int($0.prefix { $0 != "." }) } ?? 0
        )
    }
}

extension History.Verdict {
    var isBehind: Bool { if case .behind = self { true } else { false } }
}
