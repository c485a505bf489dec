// SPDX-License-Identifier: Apache-2.0

import Reporting

/// All that one strategy showed.
struct StrategyResult: Sendable {
    let strategy: Strategy
    var steady: Steady
    var memory: Memory
    var copies: Copies
    var kill: Kill
    var addition: Addition
    var outage: Outage
    /// Over all phases.
    var findings: Findings
    /// Sessions that the visitors had when the faults began.
    var sessions: Int

    /// Full load, nothing broken.
    struct Steady: Sendable {
        var requests = 0
        var seconds = 1.0
        var bad = 0
        /// Milliseconds.
        var p50 = 0.0
        var p99 = 0.0
        var p50ByKind: [Sample.Kind: Double] = [:]
        /// Bytes per request, both directions.
        var clientBytes = 0.0
        var instanceBytes = 0.0
        var redisBytes = 0.0
        /// Median of what visitors with a session send as `Cookie`.
        var cookieBytes = 0.0
        /// Microseconds per request.
        var processor = ProcessorTime()
        /// Per request, over a sample.
        var commandsSent = 0.0
        var commandsInScripts = 0.0

        var rate: Double { Double(requests) / seconds }
    }

    /// Main memory, in bytes.
    struct Memory: Sendable {
        /// Mean of the instances, before and after the extra sessions.
        var before = 0.0
        var after = 0.0
        /// Growth for each extra session, all instances together; it can be below zero where nothing is kept.
        var perSession = 0.0
        var redisPerSession = 0.0
    }

    /// What copies of a cookie can do.
    struct Copies: Sendable {
        /// Changes of two tabs at the same time: lost, of those that were acknowledged.
        var tabs = Share()
        /// Copies of a cookie that still open the session after its owner has signed out.
        var replays = Share()
        /// Reads of the two tabs that showed less than one of them had seen: a browser keeps the cookie that
        /// came last.
        var stale = 0
    }

    /// One instance killed.
    struct Kill: Sendable {
        var bad = 0
        var lostSessions = 0
        var recovery = 0.0
        var phase = Phase()
    }

    /// One instance added.
    struct Addition: Sendable {
        var bad = 0
        /// From the start of the process to the first answer that a new visitor got from it; nil when there
        /// was none.
        var serves: Double?
        /// Sessions that the new instance knows.
        var known = Share()
        var phase = Phase()
    }

    /// Redis stopped for a while.
    struct Outage: Sendable {
        /// Answers during the outage and until recovery that were 503.
        var refused = 0
        /// Requests without an answer, or with another status.
        var failed = 0
        var good = 0
        var lostSessions = 0
        /// After Redis was back.
        var recovery = 0.0
        var phase = Phase()
    }

    /// A piece of the time line.
    struct Phase: Sendable {
        var samples: [Sample] = []
        var seconds = 0.0
        /// Seconds since the phase began, and what happened then.
        var events: [TimelinePlot.Event] = []
    }
}

/// A strategy's place in the tables.
enum Entry: Sendable {
    case measured(StrategyResult)
    /// It could not be started; the reason is the instance's own.
    case unavailable(Strategy, reason: String)

    var strategy: Strategy {
        switch self {
        case .measured(let result): result.strategy
        case .unavailable(let strategy, _): strategy
        }
    }
}
