// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// An update of one attribute that was committed before its handler has returned.
struct CommittedUpdate: Sendable {
    let id: SessionID
    let version: Int
    let name: String
    /// The value that is stored now.
    let value: [UInt8]?
    /// How many earlier changes of the attribute by the same request are in the value.
    let entries: Int
    /// The record after the commit, if no other request has changed it since it was read.
    let after: SessionRecord?
    /// What the cookie must carry from now on; nil when it stays as it is.
    let credential: SessionCredential?
    /// The time to the absolute deadline.
    let remaining: Duration
}

/// What a closure that may run several times has made of its last run.
final class LastRun<Value: Sendable>: Sendable {
    private let storage = Mutex<Value?>(nil)

    var value: Value? {
        get { storage.withLock { $0 } }
        set { storage.withLock { $0 = newValue } }
    }
}

extension UncommittedSession {
    /// Goes on from an update that was committed during the request.
    mutating func settle(_ update: CommittedUpdate) throws {
        guard var record, record.id == update.id, record.version < update.version else { return }
        if let credential = update.credential { unsent = (credential, update.remaining) }
        try changes.settle(update.name, update.value, after: update.entries)
        if let after = update.after, !changes.dependsOnBase {
            record = after
            changes.rebase(on: after.attributes)
        } else {
            // The version stays behind, so that what depends on the rest is applied to the fresh record.
            record.attributes[update.name] = update.value
        }
        record.times.lastUsed = record.now
        self.record = record
    }
}
