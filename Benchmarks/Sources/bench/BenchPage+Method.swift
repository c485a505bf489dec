// SPDX-License-Identifier: Apache-2.0

import Reporting

extension BenchPage {
    /// How it was measured, on what, and what the numbers cannot say.
    var method: [Page.Section] {
        var machine = Page.Section("Machine", "Read at the end of the run.")
        machine.properties = properties
        return [steps, limits, machine]
    }

    private var steps: Page.Section {
        var section = Page.Section(
            "How it was measured",
            "The same program starts everything, and stops it again."
        )
        section.sentences = [
            "Every case is measured once per round, and the order turns around from round to round. Medians are shown; the spread in the tables is (most − least) ÷ median. Ratios are those of medians of the same rounds. In the end, a third as many measurements as a round has go to the cases whose rounds are furthest apart.",
            "Client: \(plan.clientRounds) rounds of \(Text.number(plan.clientSeconds)) s after a warm-up, on one private Redis. Processor time and context switches are those of getrusage, for redis-benchmark of the ended child. Reads and writes are counted by the kernel (/proc/self/io); the client says how many writes went to its connections, the rest woke event loops. Allocations are counted in a run of their own. The commit is the script call that the store sent once; it is repeated with the same arguments.",
            "HTTP: \(plan.httpRounds("redis", isPrincipal: true)) rounds at 64 connections and \(plan.httpRounds("redis", isPrincipal: false)) at others, of \(plan.wrkSeconds) s with wrk, one thread, \(plan.sessions) sessions whose cookies go round, after a second of warm-up; sign-ins have a new application and an empty store in each round. Processor time is read from /proc/PID/stat for all processes of an application, and for Redis from INFO cpu. Commands sent are counted by MONITOR over 50 requests one after the other; commands executed come from INFO commandstats under load, those inside scripts included.",
            "Peers: all run at the same time, each with a Redis of its own, and one of them at a time is under load. The three checks are made over HTTP: \(plan.increments) parallel additions with the same cookies; a request that saves 300 ms after it has loaded, and a sign-out 100 ms after its begin; a write with an id that was never given out.",
            "Growth: requests with 64 connections. Redis' memory per session is the growth of used_memory; a copy in memory is the growth of the resident memory of an instance, divided by \(plan.copies) sessions.",
        ]
        return section
    }

    private var limits: Page.Section {
        var section = Page.Section("What the numbers cannot say", "Limits of a measurement on one machine.")
        section.sentences = [
            "Load generator, application and Redis share \(machine.cores) cores: requests per second say how much work all of them have together. Processor time per request is the fairer measure.",
            "Loopback has no distance; on a network every command costs its way as well.",
            "Differences below some ten per cent are no differences on a shared machine; see the spread.",
            "Peers come from the distribution, or from PyPI; newer ones may be faster.",
        ]
        return section
    }
}
