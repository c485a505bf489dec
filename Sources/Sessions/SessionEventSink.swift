// SPDX-License-Identifier: Apache-2.0

import Logging
import Synchronization

/// Writes events to the log, within bounds, and passes all of them to the application.
struct SessionEventSink: Sendable {
    private let log: EventLog
    private let source: (@Sendable () -> String?)?
    private let request: Logger?

    init(logger: Logger, observer: (@Sendable (SessionEvent) -> Void)?) {
        log = EventLog(logger: logger, observer: observer)
        source = nil
        request = nil
    }

    private init(log: EventLog, source: (@Sendable () -> String?)?, request: Logger?) {
        self.log = log
        self.source = source
        self.request = request
    }

    /// Returns a sink whose events are about one request of one client: its address and the metadata of the request's
    /// logger are asked for when there is an event.
    func about(_ client: @escaping @Sendable () -> String?, _ request: Logger? = nil) -> Self {
        Self(log: log, source: client, request: request)
    }

    /// The client's address; it may be text that the client chose.
    var client: String? {
        source?().map { text in
            let printable = text.unicodeScalars.prefix(64).map { (33...126).contains($0.value) ? $0 : "?" }
            return String(String.UnicodeScalarView(printable))
        }
    }

    /// Carries out a write of a store, and reports it if too few copies have acknowledged it in time.
    func watch<Answer>(
        _ id: SessionID? = nil,
        principal: String? = nil,
        _ write: () async throws(SessionError) -> Answer
    ) async throws(SessionError) -> Answer {
        let (result, acknowledgement) = await SessionAcknowledgement.collect {
            () async -> Result<Answer, SessionError> in
            do throws(SessionError) { return .success(try await write()) } catch { return .failure(error) }
        }
        if let acknowledgement, !acknowledgement.isComplete {
            emit(SessionEvent(acknowledgement, id, principal: principal))
        }
        return try result.get()
    }

    /// Writes a line that is no event, at level `info`, with the metadata of the request's logger.
    func note(_ message: @autoclosure () -> String, _ request: Logger?) { log.note(message(), request) }

    func emit(_ event: SessionEvent) {
        var event = event
        event.client = client
        log.write(event, in: request ?? RequestIdentity.current?.logger)
    }
}

extension SessionStore {
    /// Creates a record; a sign-in that too few copies have is reported.
    func create(_ draft: SessionDraft, reportingTo events: SessionEventSink)
        async throws(SessionError) -> SessionCommitResult
    {
        guard let principal = draft.principal else { return try await create(draft) }
        return try await events.watch(draft.id, principal: principal) {
            () async throws(SessionError) in try await create(draft)
        }
    }

    /// Commits a change; a new secret that too few copies have is reported.
    func commit(_ change: SessionChange, to record: SessionRecord, reportingTo events: SessionEventSink)
        async throws(SessionError) -> SessionCommitResult
    {
        let principal: String?
        switch change.rotation {
        case .none: return try await commit(change, to: record)
        case .renew, .elevate: principal = record.principal
        case .signIn(let name, _): principal = name
        }
        return try await events.watch(record.id, principal: principal) {
            () async throws(SessionError) in try await commit(change, to: record)
        }
    }
}

/// The log of one manager.
///
/// In a second at most ten lines of one kind about one session, or one client where no session is known, and about 200
/// of these: nobody hides what happens to others by making noise, and the log and its memory stay bounded.
private final class EventLog: Sendable {
    private struct Subject: Hashable {
        let kind: SessionEvent.Kind
        let id: SessionID?
        let client: String?

        init(_ event: SessionEvent) {
            kind = event.kind
            id = event.id
            client = event.id == nil ? event.client : nil
        }
    }

    private struct State {
        var second: ContinuousClock.Instant?
        var lines: [Subject: Int] = [:]
        var subjects: [SessionEvent.Kind: Int] = [:]
        var suppressed: [SessionEvent.Kind: Int] = [:]
        var minute: ContinuousClock.Instant?
        var unknown = 0
    }

    private static let linesOfSubject = 10
    private static let subjectsOfKind = 200
    /// So many cookies without a session in a minute may be guesses.
    private static let notable = 100

    private let logger: Logger
    private let observer: (@Sendable (SessionEvent) -> Void)?
    private let state = Mutex(State())

    init(logger: Logger, observer: (@Sendable (SessionEvent) -> Void)?) {
        self.logger = logger
        self.observer = observer
    }

    func note(_ message: @autoclosure () -> String, _ request: Logger?) {
        logger.info("\(message())", metadata: request?.handler.metadata)
    }

    /// Writes an event with the metadata of the request's logger; what the event says itself stands over it.
    func write(_ event: SessionEvent, in request: Logger?) {
        observer?(event)
        if event.kind == .unknown, logger.logLevel <= .notice, let count = countUnknown() {
            logger.notice(
                "\(count) cookies for sessions that do not exist within a minute: many expired, or somebody guesses",
                metadata: ["event": "unknown", "count": "\(count)"]
            )
        }
        guard logger.logLevel <= event.kind.level, let suppressed = admit(event) else { return }
        let note = suppressed > 0 ? " (\(suppressed) more of this kind were not logged)" : ""
        let metadata = (request?.handler.metadata ?? [:]).merging(event.metadata) { $1 }
        logger.log(level: event.kind.level, "\(event)\(note)", metadata: metadata)
    }

    /// How many events of the kind were left out before this one; nil when this one is to be left out too.
    private func admit(_ event: SessionEvent) -> Int? {
        let now = ContinuousClock.now
        return state.withLock { state in
            if state.second.map({ now - $0 >= .seconds(1) }) ?? true {
                state.second = now
                state.lines.removeAll(keepingCapacity: true)
                state.subjects.removeAll(keepingCapacity: true)
            }
            let subject = Subject(event)
            let lines = state.lines[subject] ?? 0
            let isNew = lines == 0
            guard lines < Self.linesOfSubject,
                !isNew || state.subjects[event.kind, default: 0] < Self.subjectsOfKind
            else {
                state.suppressed[event.kind, default: 0] += 1
                return nil
            }
            state.lines[subject] = lines + 1
            if isNew { state.subjects[event.kind, default: 0] += 1 }
            return state.suppressed.removeValue(forKey: event.kind) ?? 0
        }
    }

    /// Counts a cookie without a session; returns the number when it is worth a line: 100 in a minute, 200, 400.
    private func countUnknown() -> Int? {
        let now = ContinuousClock.now
        return state.withLock { state in
            let isOver = state.minute.map { now - $0 >= .seconds(60) } ?? true
            if isOver { (state.minute, state.unknown) = (now, 0) }
            state.unknown += 1
            let (rounds, rest) = state.unknown.quotientAndRemainder(dividingBy: Self.notable)
            return rest == 0 && rounds & (rounds - 1) == 0 ? state.unknown : nil
        }
    }
}
