// SPDX-License-Identifier: Apache-2.0

/// The sizes of a run, the same for every strategy.
struct Plan: Sendable {
    var visitors = 200
    var concurrency = 32
    /// How long the steady load lasts.
    var seconds = 8.0
    var instances = 3
    /// The size of the largest attribute of each session.
    var payloadBytes = 200
    /// How many further sessions are created to see what they weigh.
    var sessions = 3000
    /// How long Redis is stopped.
    var faultSeconds = 5.0
    var seed: UInt64 = 1

    /// How long the load runs before anything is measured.
    var warmUpSeconds: Double { min(1.5, seconds) }
    /// How long the light load runs before each fault.
    var leadSeconds: Double { min(1, faultSeconds / 2) }
    /// How long the light load is watched after a kill or a start.
    var watchSeconds: Double { min(3, faultSeconds) }
    /// How long the light load is watched after Redis is back; an instance may take a while to dare again.
    var recoverySeconds: Double { min(5, 2 * faultSeconds) }
    /// The pause between two requests of one visitor under light load: together about 400 a second, no
    /// visitor faster than 2.
    var pace: Duration { .milliseconds(max(500, visitors * 1000 / 400)) }
    /// A request that takes longer counts as failed.
    ///
    /// Longer than an instance may take to say 503.
    var requestSeconds: Int64 { 6 }
}
