// SPDX-License-Identifier: Apache-2.0

public import ServiceLifecycle
import Synchronization

/// Delays a graceful shutdown until the load balancer has noticed it.
///
/// Put it last into the `ServiceGroup`, which stops its services in reverse order: during the notice period the
/// health check fails and everything else is served as before. The balancer takes the instance out before
/// its port closes, so a rolling restart loses no request.
public final class GracefulDrain: Service {
    private let notice: Duration
    private let draining = Atomic(false)

    /// Creates the service.
    ///
    /// - Parameter notice: the time between the signal and the shutdown of the other services; longer than
    ///   the health checks that the balancer needs to take an instance out.
    public init(notice: Duration) { self.notice = notice }

    /// Whether the instance was told to stop; its health check fails from then on.
    public var isDraining: Bool { draining.load(ordering: .relaxed) }

    /// Waits for the graceful shutdown and then for the notice period.
    ///
    /// - Throws: `CancellationError` when the task is cancelled before.
    public func run() async throws {
        try await gracefulShutdown()
        draining.store(true, ordering: .relaxed)
        try await Task.sleep(for: notice)
    }
}
