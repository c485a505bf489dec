// SPDX-License-Identifier: Apache-2.0

import Sessions

/// What happened to sessions that a replaying replica does not know yet.
struct PendingEntries: Sendable {
    enum Step: Sendable {
        case change(LogEntry.Content, LogMoment)
        case clockWasSetBack(from: SessionInstant, LogMoment)

        var position: LogPosition {
            switch self {
            case .change(_, let moment), .clockWasSetBack(_, let moment): moment.position
            }
        }
    }

    private var changes: [SessionID: [Step]] = [:]
    private var revocations: [(LogEntry.Content, LogMoment)] = []
    private var setBacks: [Step] = []

    mutating func append(_ content: LogEntry.Content, of id: SessionID, at moment: LogMoment) {
        changes[id, default: []].append(.change(content, moment))
    }

    mutating func append(_ revocation: LogEntry.Content, at moment: LogMoment) {
        revocations.append((revocation, moment))
    }

    mutating func clockWasSetBack(from before: SessionInstant, _ moment: LogMoment) {
        setBacks.append(.clockWasSetBack(from: before, moment))
    }

    /// Removes and returns the changes of a session after `position`, in order, with what happened to all
    /// sessions, and to all sessions of a user, as it happened to this one.
    mutating func take(_ id: SessionID, after position: LogPosition) -> [Step] {
        // The clock moves before the change of the same entry.
        var all = setBacks + (changes.removeValue(forKey: id) ?? [])
        for case (.revokeAll(let user, let kept, let tombstone), let moment) in revocations where kept != id {
            all.append(.change(.revoke(id, user: user, tombstone: tombstone), moment))
        }
        let steps = all.filter { $0.position > position }.enumerated()
        return steps.sorted { ($0.element.position, $0.offset) < ($1.element.position, $1.offset) }
            .map(\.element)
    }
}
