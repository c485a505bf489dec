// SPDX-License-Identifier: Apache-2.0

public import ServiceLifecycle

/// Runs the log of the store.
extension ReplicatedSessionStore: Service {
    /// The size of the replica, and counts since the store was created.
    public var statistics: ReplicatedSessionStatistics { log.statistics }

    /// Reads and maintains the log until graceful shutdown or cancellation.
    public func run() async throws {
        log.started()
        defer { log.stopped() }
        await withTaskGroup { group in
            group.addTask { [log] in
                var reader = LogReader(log)
                await reader.run()
            }
            group.addTask { [log] in
                var maintenance = LogMaintenance(log)
                await maintenance.run()
            }
            group.addTask { [log] in await LogMaintenance.watchDeadlines(log) }
            try? await gracefulShutdown()
            group.cancelAll()
        }
    }

    /// Runs `hook` before each batch of entries is applied, for tests that delay entries.
    ///
    /// A batch for which it throws is read again.
    package func beforeApplying(_ hook: (@Sendable () async throws -> Void)?) { log.beforeApplying = hook }
}
