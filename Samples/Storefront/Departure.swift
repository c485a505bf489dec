// SPDX-License-Identifier: Apache-2.0

import ServiceLifecycle
import Synchronization

/// The time between being told to stop and stopping, in which the balancer finds out.
///
/// While it lasts `/healthz` says no and everything else is served as before. That is what makes a rolling
/// restart lose no request: the balancer has taken the instance out before its port closes.
final class Departure: Service {
    /// Longer than two failed checks of `haproxy.cfg`.
    static let notice: Duration = .seconds(2)
    private let leaving = Atomic(false)

    /// Whether the instance was told to stop.
    var isLeaving: Bool { leaving.load(ordering: .relaxed) }

    func run() async throws {
        try await gracefulShutdown()
        leaving.store(true, ordering: .relaxed)
        try await Task.sleep(for: Self.notice)
    }
}
