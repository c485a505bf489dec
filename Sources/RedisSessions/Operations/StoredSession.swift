// SPDX-License-Identifier: Apache-2.0

package import Sessions

/// What the record of a session says, without secrets and hashes; for operators.
package struct StoredSession: Sendable {
    /// What is under the key of a session.
    package enum Reading: Sendable {
        case live(StoredSession)
        case absent(SessionAbsence)
    }

    package let id: SessionID
    package let version: Int
    package let times: SessionTimes
    /// The server's time when the record was read.
    package let now: SessionInstant
    package let isSignedIn: Bool
    /// The values as they are stored: a version in front, where it is not 1, and JSON.
    package let attributes: [String: [UInt8]]

    init(_ id: SessionID, _ record: RedisRecord) {
        self.id = id
        version = record.version
        times = record.times
        now = record.now
        isSignedIn = !record.isAnonymous
        attributes = record.attributes
    }
}
