// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// The replies to a request, one for each of its commands.
enum Replies: Sendable {
    case one(RedisReply)
    case many([RedisReply])
}

/// The receiver of the replies to a request.
enum ReplyTarget: Sendable {
    case caller(PendingReply)
    /// Several callers that have asked the same.
    case callers([PendingReply])
    /// The reply is ignored; the command is kept because its script may have to be sent.
    indirect case ignored(RedisCommand, RedisScript.Form)
    /// The connection itself, which has asked whether the server still answers.
    case probe

    /// Fails the caller, if there is one; returns false when it did not wait any more.
    @discardableResult
    func fail(_ error: RedisError) -> Bool {
        switch self {
        case .caller(let pending): pending.finish(.failure(error))
        case .callers(let all): all.reduce(false) { $1.finish(.failure(error)) || $0 }
        case .ignored: true
        case .probe: false
        }
    }

    /// Adds a caller who asks the same; returns false when this is no caller's.
    mutating func join(_ pending: PendingReply) -> Bool {
        switch self {
        case .caller(let first): self = .callers([first, pending])
        case .callers(var all):
            self = .probe  // Lets `all` grow in place.
            all.append(pending)
            self = .callers(all)
        case .ignored, .probe: return false
        }
        return true
    }
}

/// A request that was written, or is about to be, and has no reply yet.
struct PendingRequest: Sendable {
    var target: ReplyTarget
    /// The number of its commands, and so of its replies.
    let count: Int
    /// The encoded size in bytes.
    let size: Int
    var deadline: NIODeadline
    /// Whether its commands only read, so that callers who ask the same can share the replies.
    var isRead = false
    /// Whether its caller repeats it when the connection is lost.
    var isRepeatable = false
    /// The positions of the commands after which no transaction may be open.
    var transactionEnds: [Int] = []
}

/// The pending requests of one connection, in the order in which Redis will reply.
///
/// A request stays in the queue until its replies have arrived, even when its caller was cancelled or is
/// overdue: this is what assigns each reply to its caller. Does no I/O and reads no clock.
struct ReplyQueue {
    private struct Entry {
        let request: PendingRequest
        let sent: NIODeadline
        var isOverdue = false
    }

    /// A request whose replies are complete.
    struct Delivery {
        let request: PendingRequest
        let replies: Replies

        /// Whether Redis refused to end a transaction: it would queue the commands of all later callers.
        ///
        /// Happens when the user may not send the command that ends it.
        var leavesTransaction: Bool {
            request.transactionEnds.contains { index in
                let reply = replies.all[index]
                return reply.kind == .error
                    && !["EXECABORT", "ERR EXEC without MULTI", "ERR DISCARD without MULTI"].contains {
                        reply.isError($0)
                    }
            }
        }
    }

    /// The result of comparing the deadlines with the clock.
    struct DeadlineCheck {
        /// The targets whose deadline has passed since the last check.
        var overdue: [ReplyTarget] = []
        /// Whether the connection must be closed.
        var isStalled = false
        /// The time of the next check; nil when the queue is empty.
        var next: NIODeadline?
    }

    private var entries = CircularBuffer<Entry>()
    private var collected: [RedisReply] = []
    /// The number of requests that must not be repeated.
    private var unrepeatable = 0

    var isEmpty: Bool { entries.isEmpty }

    /// Appends requests that were written, in this order.
    mutating func sent(_ requests: [PendingRequest], at now: NIODeadline) {
        for request in requests {
            entries.append(Entry(request: request, sent: now))
            if !request.isRepeatable { unrepeatable += 1 }
        }
    }

    /// Takes the next reply; returns the request that it completes, or nil while replies are missing.
    ///
    /// Must not be called when the queue is empty.
    mutating func received(_ reply: RedisReply) -> Delivery? {
        let head = entries[entries.startIndex].request
        if head.count == 1 {
            removeFirst()
            return Delivery(request: head, replies: .one(reply))
        }
        collected.append(reply)
        guard collected.count == head.count else { return nil }
        removeFirst()
        defer { collected = [] }
        return Delivery(request: head, replies: .many(collected))
    }

    private mutating func removeFirst() {
        if !entries.removeFirst().request.isRepeatable { unrepeatable -= 1 }
    }

    /// Returns what is overdue.
    ///
    /// A connection is stalled when its oldest request is older than `timeout` and nothing was received for
    /// as long, or when the request is four times older. Half of `timeout` is enough when all requests can be
    /// repeated: so there is time left to repeat them on another connection.
    mutating func checkDeadlines(at now: NIODeadline, lastRead: NIODeadline, timeout: TimeAmount)
        -> DeadlineCheck
    {
        var check = DeadlineCheck()
        guard let head = entries.first else { return check }
        let patience = unrepeatable == 0 ? timeout / 2 : timeout
        let stall = min(max(head.sent, lastRead) + patience, head.sent + timeout * 4)
        check.isStalled = stall <= now
        check.next = stall
        for index in entries.indices where !entries[index].isOverdue {
            let deadline = entries[index].request.deadline
            if deadline <= now {
                entries[index].isOverdue = true
                check.overdue.append(entries[index].request.target)
            } else {
                check.next = min(check.next ?? deadline, deadline)
            }
        }
        return check
    }

    /// Empties the queue and returns the requests without complete replies.
    mutating func removeAll() -> [PendingRequest] {
        defer {
            entries.removeAll()
            collected = []
            unrepeatable = 0
        }
        return entries.map(\.request)
    }
}

extension TimeAmount {
    static func / (amount: TimeAmount, divisor: Int64) -> TimeAmount {
        .nanoseconds(amount.nanoseconds / divisor)
    }
}
