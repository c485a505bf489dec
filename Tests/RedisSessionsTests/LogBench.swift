// SPDX-License-Identifier: Apache-2.0

import Sessions

@testable import RedisSessions

/// A replication state and a log in memory, with a clock that only the test advances.
struct Bench {
    static let options: LogOptions = {
        var options = LogOptions()
        options.freshness = .seconds(1)
        options.retention = .seconds(400)
        return options
    }()

    var state = ReplicationState(Bench.options)
    var now = ContinuousClock.now
    var entries: [(position: LogPosition, time: UInt64, entry: LogEntry)] = []
    /// By how much the clock of Redis is behind the positions, in milliseconds.
    var lag: UInt64 = 0
    var epoch: UInt64 = 1
    private var milliseconds: UInt64 = 1_800_000_000_000
    private var nonce: UInt64 = 0
    var entrySize = 100

    /// A log that is live and whose end has been reached now.
    static var live: Bench {
        var bench = Bench()
        bench.append(.origin)
        bench.append(.activate(candidacy: nil, candidates: 0))
        _ = bench.read()
        return bench
    }

    @discardableResult mutating func append(_ content: LogEntry.Content, nonce: UInt64? = nil) -> LogPosition
    {
        milliseconds += 1
        self.nonce += 1
        let position = LogPosition(milliseconds: milliseconds, sequence: 0)
        let entry = LogEntry(epoch: epoch, nonce: nonce ?? self.nonce, content: content)
        entries.append((position, milliseconds - lag, entry))
        return position
    }

    @discardableResult mutating func create(_ user: [UInt8]? = nil) -> SessionID {
        let id = SessionID()
        append(
            .create(
                id,
                HashedDraft(
                    attributes: ["a": [1, 2, 3]],
                    principal: user,
                    principalHash: user,
                    secretHash: [1],
                    family: Array(repeating: 7, count: 16),
                    idleTimeout: .seconds(600),
                    lifetime: .seconds(3600)
                )
            )
        )
        return id
    }

    /// Reads the log up to its end, or at most `limit` entries.
    mutating func read(limit: Int = .max) -> ReaderAction {
        let after = state.applied
        return state.pageRead(
            LogPage(
                after: after,
                entries: entries.filter { $0.position > after }.prefix(limit).map {
                    let time = SessionInstant(milliseconds: Int64($0.time))
                    let moment = LogMoment(position: $0.position, time: time)
                    return LogPage.Item(moment: moment, entry: $0.entry, size: entrySize)
                },
                bounds: LogBounds(
                    last: entries.last?.position,
                    time: Int64(milliseconds - lag) * 1000,
                    isFound: entries.contains { $0.position == after },
                    first: entries.first?.position
                ),
                asked: now,
                received: now
            )
        )
    }

    /// Advances the time at the server.
    mutating func jump(_ duration: Duration) { milliseconds += UInt64(duration.wholeMilliseconds) }

    /// Replaces the log by a new one.
    mutating func replace() {
        entries = []
        epoch += 1
        append(.origin)
    }

    func request(_ position: LogPosition? = nil, strict: Bool = false) -> ReadRequest {
        ReadRequest(version: position?.version ?? 0, isStrict: strict, received: now)
    }

    /// What entries depend on whose writers wait for a second.
    mutating func target() -> AppendTarget { state.appendRequested(at: now, until: now + .seconds(1)) }

    /// The position one millisecond after the end of the log.
    var beyond: LogPosition { LogPosition(milliseconds: milliseconds + 1, sequence: 0) }
}
