// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// Lets one request at a time retry a commit on the same session within this process.
///
/// First attempts do not wait here, so the common case pays nothing. Without the gate, N requests that
/// collide retry N against N and need up to N rounds each; with it each process has one contender, whatever N
/// is. First come, first served.
final class ConflictGate: Sendable {
    private let queues = Mutex<[SessionHandle: [CheckedContinuation<Void, Never>]]>([:])

    /// Waits for the turn.
    ///
    /// Not cancellable: whoever is ahead is bounded by the store's deadline and its number of attempts.
    func enter(_ handle: SessionHandle) async {
        await withCheckedContinuation { continuation in
            let isFirst = queues.withLock { queues in
                if queues[handle] == nil {
                    queues[handle] = []
                    return true
                }
                queues[handle]?.append(continuation)
                return false
            }
            if isFirst { continuation.resume() }
        }
    }

    /// Gives the turn to the next one.
    func leave(_ handle: SessionHandle) {
        let next = queues.withLock { queues -> CheckedContinuation<Void, Never>? in
            guard let queue = queues[handle], !queue.isEmpty else {
                queues[handle] = nil
                return nil
            }
            return queues[handle]?.removeFirst()
        }
        next?.resume()
    }
}
