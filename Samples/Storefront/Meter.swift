// SPDX-License-Identifier: Apache-2.0

import Hummingbird
import HummingbirdSessions
import NIOCore
import Synchronization

/// What was asked of Redis.
struct RedisWork: Sendable {
    var roundTrips = 0
    var commands = 0
}

/// Measures what each request asks of Redis, by the counters of the store or its client.
///
/// They count for the whole instance. What was measured while another request ran is marked as shared.
final class Meter: Sendable {
    /// The work of one request.
    struct Cost: Sendable {
        var work: RedisWork
        /// Whether another request ran at the same time, so that the work may be that of both.
        var isShared: Bool
    }

    /// Where a measurement began.
    struct Mark {
        fileprivate let work: RedisWork
        fileprivate let number: Int
        fileprivate let isAlone: Bool
    }

    private let counters: @Sendable () -> RedisWork
    private let requests = Mutex((running: 0, started: 0))

    init(_ counters: @escaping @Sendable () -> RedisWork) { self.counters = counters }

    func begin() -> Mark {
        let (number, isAlone) = requests.withLock { requests in
            requests.running += 1
            requests.started += 1
            return (requests.started, requests.running == 1)
        }
        return Mark(work: counters(), number: number, isAlone: isAlone)
    }

    func end(_ mark: Mark) -> Cost {
        let now = counters()
        let isLast = requests.withLock { requests in
            requests.running -= 1
            return requests.started == mark.number
        }
        let work = RedisWork(
            roundTrips: now.roundTrips - mark.work.roundTrips,
            commands: now.commands - mark.work.commands
        )
        return Cost(work: work, isShared: !mark.isAlone || !isLast)
    }
}

/// What became of a form, shown by the page that it leads to.
struct Step: Sendable {
    let path: String
    let instance: String
    let cost: Meter.Cost

    init(path: String, instance: String, cost: Meter.Cost) {
        (self.path, self.instance, self.cost) = (path, instance, cost)
    }

    /// Reads the cookie that carried it; nil for anything but its form.
    init?(cookie: String?) {
        let parts = (cookie ?? "").split(separator: "|", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 5, let roundTrips = Int(parts[2]), let commands = Int(parts[3]),
            (0...999).contains(roundTrips), (0...999).contains(commands), parts[0].count + parts[1].count < 80
        else { return nil }
        path = parts[0]
        instance = parts[1]
        cost = Meter.Cost(
            work: RedisWork(roundTrips: roundTrips, commands: commands),
            isShared: parts[4] == "shared"
        )
    }

    var cookie: String {
        let isShared = cost.isShared ? "shared" : "alone"
        return "\(path)|\(instance)|\(cost.work.roundTrips)|\(cost.work.commands)|\(isShared)"
    }
}

/// What is known about a request once its session is committed, for a page that is written then.
final class Receipt: Sendable {
    private let state = Mutex<(cost: Meter.Cost?, previous: Step?)>((nil, nil))

    /// What it has cost; nil until it is committed.
    var cost: Meter.Cost? {
        get { state.withLock { $0.cost } }
        set { state.withLock { $0.cost = newValue } }
    }

    /// The form that led to it.
    var previous: Step? {
        get { state.withLock { $0.previous } }
        set { state.withLock { $0.previous = newValue } }
    }
}

/// What goes with each request.
struct ShopContext: SessionsRequestContext, RemoteAddressRequestContext {
    var coreContext: CoreRequestContextStorage
    var requestSession: RequestSession?
    let remoteAddress: SocketAddress?
    let receipt = Receipt()

    init(source: Source) {
        coreContext = CoreRequestContextStorage(source: source)
        remoteAddress = source.channel.remoteAddress
    }
}
