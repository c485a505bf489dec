// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// The replies that a request got, one for each of its commands.
enum Replies: Sendable {
    case one(RedisReply)
    case many([RedisReply])
}

/// What is to be done with the replies of a request.
enum Receiver: Sendable {
    case caller(Exchange<Replies>)
    /// Nobody waits; the command is kept because a script may have to be sent again.
    case nobody(RedisCommand, RedisCommand.ScriptForm)

    /// Ends the wait of the caller, if there is one; false when it had left.
    @discardableResult
    func fail(_ error: RedisError) -> Bool {
        switch self {
        case .caller(let exchange): exchange.finish(.failure(error))
        case .nobody: true
        }
    }
}

/// A request on its way: commands written next to each other whose replies belong to one receiver.
struct Expected: Sendable {
    let receiver: Receiver
    let count: Int
    let size: Int
    let deadline: NIODeadline
}

/// The order in which replies will come on one connection.
///
/// Redis answers in the order of the commands, so an entry stays in line until its reply is here, even when
/// nobody waits for it any more: that is what keeps replies with their callers. Pure; times are passed in.
struct ReplyQueue {
    private struct Entry {
        let expected: Expected
        let sent: NIODeadline
        var isOverdue = false
    }

    /// Replies that are complete for one receiver.
    struct Delivery {
        let receiver: Receiver
        let replies: Replies
        let count: Int
        let size: Int
    }

    /// What a look at the clock shows.
    struct Review {
        /// Receivers whose deadline has passed since the last look.
        var overdue: [Receiver] = []
        /// Whether the connection has to be given up.
        var isStalled = false
        /// When to look again; nil when nothing is expected.
        var next: NIODeadline?
    }

    private var entries = CircularBuffer<Entry>()
    private var collected: [RedisReply] = []

    var isEmpty: Bool { entries.isEmpty }

    /// Requests were written, in this order.
    mutating func sent(_ expected: [Expected], at now: NIODeadline) {
        for expected in expected { entries.append(Entry(expected: expected, sent: now)) }
    }

    /// A reply came; gives what it completes, nil while more is missing.
    ///
    /// Not to be called when nothing is expected.
    mutating func received(_ reply: RedisReply) -> Delivery? {
        let head = entries[entries.startIndex].expected
        if head.count == 1 {
            entries.removeFirst()
            return Delivery(receiver: head.receiver, replies: .one(reply), count: 1, size: head.size)
        }
        collected.append(reply)
        guard collected.count == head.count else { return nil }
        entries.removeFirst()
        defer { collected = [] }
        return Delivery(
            receiver: head.receiver,
            replies: .many(collected),
            count: head.count,
            size: head.size
        )
    }

    /// Finds what is late.
    ///
    /// A connection is stalled when its oldest request is older than `patience` and nothing at all has been
    /// received for as long; a trickle of bytes buys it four times as long.
    mutating func reviewed(at now: NIODeadline, lastRead: NIODeadline, patience: TimeAmount) -> Review {
        var review = Review()
        guard let head = entries.first else { return review }
        let stall = min(max(head.sent, lastRead) + patience, head.sent + patience * 4)
        review.isStalled = stall <= now
        review.next = stall
        for index in entries.indices where !entries[index].isOverdue {
            let deadline = entries[index].expected.deadline
            if deadline <= now {
                entries[index].isOverdue = true
                review.overdue.append(entries[index].expected.receiver)
            } else {
                review.next = min(review.next ?? deadline, deadline)
            }
        }
        return review
    }

    /// The connection is gone: everything that was still expected.
    mutating func lost() -> [Expected] {
        defer {
            entries.removeAll()
            collected = []
        }
        return entries.map(\.expected)
    }
}
