// SPDX-License-Identifier: Apache-2.0

import Logging
import Synchronization

/// One request: tells the manager what the request itself has ended from what others have.
struct RequestIdentity: Sendable {
    /// The request that the current task works for, if its adapter says so.
    @TaskLocal static var current: RequestIdentity?

    private static let last = Atomic<UInt64>(0)

    /// Nil where the adapter does not say which tasks work for it.
    var number: UInt64? = last.wrappingAdd(1, ordering: .relaxed).newValue
    let began = ContinuousClock.now
    /// The logger of the request, for what the manager reports meanwhile.
    var logger: Logger?
}
