// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// The first commands of a new connection, sent in one write before those of callers: login, database, role, name,
/// capabilities, scripts.
///
/// Does no I/O: encodes the commands and interprets the replies.
struct Handshake {
    /// The state after a reply.
    enum Progress {
        case pending
        case ready
        case failed(RedisError)
    }

    private enum Step { case login, database, role, replica, name, capabilities, script, ping }

    private var steps: [(step: Step, command: RedisCommand)] = []
    private var answered = 0

    init(
        _ configuration: RedisConfiguration,
        _ credentials: RedisCredentials?,
        scripts: [RedisCommand] = [],
        isBrief: Bool = false,
        needsPrimary: Bool = false,
        isReplica: Bool = false
    ) {
        if let credentials {
            var login = RedisCommand("AUTH")
            if let username = credentials.username { login.append(username) }
            login.append(credentials.password)
            steps.append((.login, login))
        }
        if configuration.database != 0 {
            steps.append((.database, RedisCommand("SELECT", String(configuration.database))))
        }
        if needsPrimary { steps.append((.role, RedisCommand("ROLE"))) }
        // Without it, a replica of a cluster sends reads to its primary.
        if isReplica, configuration.topology.isCluster { steps.append((.replica, RedisCommand("READONLY"))) }
        if !isBrief {
            // The nodes of a cluster send commands elsewhere without being asked to, and a user with few rights would
            // leave a line in the log of refusals with each connection.
            if !configuration.topology.isCluster, !isReplica, credentials?.username == nil {
                // Since Valkey 8: a replica then names its primary (`REDIRECT`), also to what only reads.
                steps.append((.capabilities, RedisCommand("CLIENT", "CAPA", "redirect")))
            }
            if let name = configuration.clientName {
                steps.append((.name, RedisCommand("CLIENT", "SETNAME", name)))
            }
            for load in scripts { steps.append((.script, load)) }
        }
        // A server that still loads its data refuses this one, but not all of the others.
        steps.append((.ping, RedisCommand("PING")))
    }

    /// Whether there are commands that the connection is usable without.
    var hasOptionalSteps: Bool {
        steps.contains { [.name, .capabilities, .script].contains($0.step) }
    }

    /// Encodes all commands.
    func encode(into buffer: inout ByteBuffer) {
        for step in steps { step.command.encode(into: &buffer) }
    }

    /// Takes the next reply.
    mutating func received(_ reply: RedisReply) -> Progress {
        guard answered < steps.count else {
            return .failed(RedisError(.protocol, .unknown, "Redis sent a reply without a request"))
        }
        let step = steps[answered].step
        answered += 1
        if let error = reply.error, let failure = Self.failure(of: step, error) { return .failed(failure) }
        if step == .role, reply.kind == .array, reply.count == 0 || reply[0].string != "master" {
            return .failed(.notPrimary)
        }
        return answered == steps.count ? .ready : .pending
    }

    private static func failure(of step: Step, _ error: RedisError) -> RedisError? {
        if error.code == .authentication {
            return RedisError(.authentication, .notSent, "Redis refused the login: \(error.prefix ?? "")")
        }
        if error.serverMessage?.hasPrefix("ERR max number of clients") == true {
            return RedisError(.connection, .notSent, "Redis has too many clients")
        }
        if ["LOADING", "MASTERDOWN", "BUSY"].contains(error.prefix) {
            return RedisError(.connection, .notSent, "Redis is not ready: \(error.prefix ?? "")")
        }
        if error.prefix == "DENIED" {
            // Sent to everybody, before any command: it quotes nothing.
            return RedisError(.configuration, .notSent, "Redis refuses clients: \(error.serverMessage ?? "")")
        }
        switch step {
        case .login:
            return RedisError(
                .authentication,
                .notSent,
                "Redis refused the login: \(error.prefix ?? "error")"
            )
        case .database:
            return RedisError(
                .configuration,
                .notSent,
                "Redis refused the database: \(error.prefix ?? "error")"
            )
        // A user without permission for these can still send commands, a replica refuses to write, and one of a cluster
        // to read. A script that does not compile fails when it is called.
        case .role, .replica, .name, .capabilities, .script: return nil
        case .ping:
            return error.prefix == "NOPERM"
                ? nil : RedisError(.connection, .notSent, "Redis is not ready: \(error.prefix ?? "error")")
        }
    }
}
