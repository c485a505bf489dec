// SPDX-License-Identifier: Apache-2.0

import RedisSessions
import Sessions

/// What `doctor` finds out, in the order in which it is printed.
struct Examination {
    private let client: RedisClient
    private let store: RedisSessionStore

    init(_ client: RedisClient, _ store: RedisSessionStore) {
        (self.client, self.store) = (client, store)
    }

    /// Asks each server once, and the store's own check; ends early where no server can be reached.
    func findings() async -> [Finding] {
        let configuration = client.configuration
        let servers: [RedisNode]
        do { servers = try await store.servers() } catch {
            let advice = "Check address, network and TLS, user name and password; see the message."
            return [Finding("connection", .problem, error.message, advice), encryption(configuration)]
        }
        var findings = [
            Finding(
                "connection",
                .ok,
                "\(configuration)\(servers.count > 1 ? ", \(servers.count) primaries" : "")"
            ),
            encryption(configuration),
        ]
        findings.append(await user())
        findings.append(await rights())
        for server in servers { findings += await examine(server) }
        return findings
    }

    private func encryption(_ configuration: RedisConfiguration) -> Finding {
        if configuration.tls != nil { return Finding("tls", .ok, "the connection is encrypted") }
        if case .unix = configuration.address { return Finding("tls", .ok, "a socket of this machine") }
        if case .tcp(let host, _) = configuration.address,
            host == "localhost" || host == "::1" || host.hasPrefix("127.")
        {
            return Finding("tls", .ok, "plain text, on the loopback interface")
        }
        return Finding(
            "tls",
            .warning,
            "plain text",
            "Passwords and sessions can be read on the network; use rediss:// where it is not your own."
        )
    }

    private func user() async -> Finding {
        do {
            let name = try await client.send(RedisCommand("ACL", "WHOAMI", readOnly: true)).string ?? ""
            guard name == "default" else { return Finding("user", .ok, "an ACL user of its own") }
            return Finding(
                "user",
                .warning,
                "the default user",
                """
                Give each application a user with the rights of accessRules(application:), and this tool those of \
                `sessionctl schema --acl`.
                """
            )
        } catch {
            return Finding("user", .ok, "an ACL user of its own, without the right to ask for its name")
        }
    }

    private func rights() async -> Finding {
        do throws(SessionError) {
            try await store.check()
            return Finding("rights and scripts", .ok, "every command and script of the store runs")
        } catch {
            return Finding(
                "rights and scripts",
                .problem,
                error.message,
                "Set the rights that accessRules(application:) returns, and load Lua where it is a module."
            )
        }
    }

    private func examine(_ server: RedisNode) async -> [Finding] {
        let name = "\(server.serverAddress)"
        let before = SessionInstant.now
        let replies: [RedisReply]
        do throws(SessionError) {
            replies = try await server.ask([
                RedisCommand("TIME", readOnly: true), RedisCommand("INFO", readOnly: true),
            ])
        } catch { return [Finding("server", .problem, error.message, server: name)] }
        let after = SessionInstant.now
        guard let text = replies[1].string else {
            return [
                Finding("server", .warning, "this user may not ask (INFO)", server: name, "Grant +info.")
            ]
        }
        let facts = ServerFacts(text)
        var findings = facts.findings(server: name)
        if let clock = clock(replies[0], before, after, name) { findings.append(clock) }
        if facts["cluster_enabled"] == "1" { findings.append(await slots(of: server, name)) }
        return findings
    }

    private func clock(_ time: RedisReply, _ before: SessionInstant, _ after: SessionInstant, _ name: String)
        -> Finding?
    {
        guard time.count == 2, let seconds = time[0].integer, let microseconds = time[1].integer else {
            return nil
        }
        let server = Int64(seconds) * 1000 + Int64(microseconds) / 1000
        let middle = (before.milliseconds + after.milliseconds) / 2
        let difference = server - middle
        let doubt = (after.milliseconds - before.milliseconds) / 2 + 1
        let text =
            "\(abs(difference)) ms \(difference < 0 ? "behind" : "ahead of") this machine, ± \(doubt) ms"
        guard abs(difference) > 1000 + doubt else { return Finding("clock", .ok, text, server: name) }
        return Finding(
            "clock",
            .warning,
            text,
            server: name,
            "Run NTP on all machines: servers that replace each other should agree to within the command timeout."
        )
    }

    private func slots(of server: RedisNode, _ name: String) async -> Finding {
        guard client.configuration.topology.isCluster else {
            return Finding(
                "cluster",
                .problem,
                "a node of a cluster, used as a single server",
                server: name,
                "Use redis-cluster:// or rediss-cluster://."
            )
        }
        guard let reply = try? await server.ask([RedisCommand("CLUSTER", "INFO", readOnly: true)])[0],
            let text = reply.string
        else {
            return Finding("cluster", .ok, "not asked: the right +cluster|info is missing", server: name)
        }
        let facts = ServerFacts(text)
        let covered = Int(facts["cluster_slots_ok"] ?? "") ?? 0
        let state = facts["cluster_state"] ?? "unknown"
        let summary = "state \(state), \(covered) of 16384 slots served"
        guard state == "ok", covered == 16_384 else {
            return Finding(
                "cluster",
                .problem,
                summary,
                server: name,
                "Sessions in slots without a primary cannot be used: bring the nodes back or assign the slots."
            )
        }
        return Finding("cluster", .ok, summary, server: name)
    }
}
