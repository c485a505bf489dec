// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport

/// What an application does where requests of one session meet; each is tried over HTTP.
struct PeerChecks: Sendable, Equatable, CustomStringConvertible {
    /// Parallel additions to one counter.
    var increments: Int
    /// Those that were answered with 200.
    var acknowledged: Int
    /// Those of the acknowledged that are missing afterwards.
    var lost: Int
    /// How often a request that was slower than the sign-out brought the session back, of `attempts`.
    var revived: Int
    var attempts: Int
    /// Whether a session begins under an ID that the application has never given out.
    var adoptsMadeUpID: Bool

    var description: String {
        "\(lost) of \(acknowledged) acknowledged increments lost, \(revived) of \(attempts) sign-outs undone, a made-up id is \(adoptsMadeUpID ? "adopted" : "refused")"
    }

    static func run(_ application: Application, _ plan: BenchPlan) async throws -> PeerChecks {
        let (acknowledged, count) = try await increments(application, plan.increments)
        var revived = 0
        for attempt in 0..<plan.attempts where try await isSignOutUndone(application, user: attempt) {
            revived += 1
        }
        return PeerChecks(
            increments: plan.increments,
            acknowledged: acknowledged,
            lost: max(0, acknowledged - count),
            revived: revived,
            attempts: plan.attempts,
            adoptsMadeUpID: try await adoptsMadeUpID(application)
        )
    }

    /// All requests carry the same cookies and are on their way before the first answer is read.
    private static func increments(_ application: Application, _ number: Int) async throws -> (Int, Int) {
        let browser = try await application.signIn(910_000)
        let tabs = (0..<number).map { _ in browser.clone() }
        let acknowledged = await withTaskGroup(of: Bool.self) { group in
            for tab in tabs {
                group.addTask { (try? await application.send(application.routes.write, by: tab)) != nil }
            }
            return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
        }
        return (acknowledged, try await application.state(of: browser).count)
    }

    /// A request loads the session and saves it 300 ms later; after 100 ms the user signs out in another tab.
    private static func isSignOutUndone(_ application: Application, user: Int) async throws -> Bool {
        let browser = try await application.signIn(920_000 + user)
        let (slow, copy) = (browser.clone(), browser.clone())
        async let late = try? application.send(application.routes.slow, by: slow)
        try await Task.sleep(for: .milliseconds(100))
        try await application.send(application.routes.signOut, by: browser)
        _ = await late
        return try await application.state(of: copy).isSignedIn
    }

    /// Writes with the made-up cookie, and reads with that cookie alone what was written.
    private static func adoptsMadeUpID(_ application: Application) async throws -> Bool {
        let victim = application.browser()
        victim.present(application.madeUp)
        let attacker = victim.clone()
        _ = try? await application.send(application.routes.write, by: victim)
        return ((try? await application.state(of: attacker))?.count ?? 0) > 0
    }
}
