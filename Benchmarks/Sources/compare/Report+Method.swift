// SPDX-License-Identifier: Apache-2.0

import Reporting

extension Report {
    /// How it was measured, on what, and what the numbers cannot say.
    var method: [Page.Section] { [steps, limits, properties] }

    private var steps: Page.Section {
        var section = Page.Section(
            "How it was measured",
            "The same program runs everything, and stops it again."
        )
        section.sentences = [
            "For each strategy: a Redis, \(plan.instances) instances and HAProxy, all fresh, all on loopback. Round robin, so that nearly every request lands on another instance than the one before; memory and hybrid are pinned by a route cookie that the balancer inserts.",
            "\(plan.visitors) visitors with cookie jars: a fifth never stores anything, two fifths store without signing in, two fifths sign in. Of their requests 35 % leave the session alone, 35 % read all of it, 30 % change it: append to a list, count up, set \(plan.payloadBytes) bytes. Now and then a visitor signs out and in again.",
            "Full load: \(plan.concurrency) visitors at a time, as fast as they are answered, for \(Text.number(plan.seconds)) s after a warm-up. Bytes are those of HAProxy's HTTP/1 layer and of Redis' own counters; processor time is the system's; commands are counted by MONITOR in a sample of its own, with what the instances do in the background.",
            "Faults: under light load (a request per visitor every \(Text.number(plan.pace.seconds)) s) one instance is killed with SIGKILL; one more is started; Redis is frozen for \(Text.number(plan.faultSeconds)) s with SIGSTOP, which leaves its connections open and silent, and then goes on with what it had. A Redis that came back empty would have lost the sessions by nature.",
            "Every visitor sends one request at a time and remembers what was acknowledged and what it has seen. A read that shows less is read again, for up to 0.8 s: if it is right then, it was a stale read; if not, an update or the session is lost. After each fault every visitor reads its session back. A request whose outcome stays open is counted for neither.",
            "Two tabs: two changes at the same time with the same cookies. Copies: each member's cookies are copied, the member signs out, and 1.2 s later the copy is tried.",
        ]
        return section
    }

    private var limits: Page.Section {
        var section = Page.Section("What the numbers cannot say", "Limits of a measurement on one machine.")
        section.sentences = [
            "Client, balancer, instances and Redis share \(machine.cores) cores and one memory: requests per second say how much work all of them have together, not what any of them could do alone. Compare the bars with each other, and take processor time per part for what you would pay.",
            "Loopback has no distance. On a network every trip to Redis costs its way as well; the number of commands says how often.",
            "No TLS. It would cost all strategies the same between client and balancer.",
            "Memory per session is the growth of the processes; allocators round, and what is below 64 bytes is noise.",
            "One run. Differences of a few per cent are no differences.",
        ]
        return section
    }

    private var properties: Page.Section {
        var section = Page.Section("Machine", "Read at the end of the run.")
        section.properties =
            machine.properties + [
                .init("Redis", redisVersion), .init("HAProxy", balancerVersion),
                .init("the run took", "\(Text.number(seconds)) s"), .init("seed", "\(plan.seed)"),
            ]
        return section
    }
}
