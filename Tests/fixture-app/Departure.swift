// SPDX-License-Identifier: Apache-2.0

import ServiceLifecycle
import Synchronization

/// The time between being told to stop and stopping, in which a balancer finds out.
final class Departure: Service {
    private let notice: Duration
    private let leaving = Atomic(false)

    init(notice: Duration) { self.notice = notice }

    /// Whether the instance was told to stop.
    var isLeaving: Bool { leaving.load(ordering: .relaxed) }

    func run() async throws {
        try await gracefulShutdown()
        leaving.store(true, ordering: .relaxed)
        try await Task.sleep(for: notice)
    }
}
