// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// Lets one request at a time retry a commit on the same session within this process.
///
/// First attempts do not wait here, so the common case pays nothing. Without the queue, N requests that
/// collide retry N against N and need up to N rounds each; with it each process has one contender, whatever N
/// is. First come, first served.
final class CommitQueue: Sendable {
    private let queues = Mutex<[SessionID: [CheckedContinuation<Void, Never>]]>([:])

    /// Waits for the turn, which lasts until `leave`.
    ///
    /// Not cancellable: the store's deadline and the number of attempts bound the wait for the requests ahead.
    func enter(_ id: SessionID) async {
        await withCheckedContinuation { continuation in
            let isFirst = queues.withLock { queues in
                if queues[id] == nil {
                    queues[id] = []
                    return true
                }
                queues[id]?.append(continuation)
                return false
            }
            if isFirst { continuation.resume() }
        }
    }

    /// Gives the turn to the next one.
    func leave(_ id: SessionID) {
        let next = queues.withLock { queues -> CheckedContinuation<Void, Never>? in
            guard let queue = queues[id], !queue.isEmpty else {
                queues[id] = nil
                return nil
            }
            return queues[id]?.removeFirst()
        }
        next?.resume()
    }
}
