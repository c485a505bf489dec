// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// What a new connection has to go through before callers are let in, written in one go: login, database,
/// name, scripts.
///
/// Pure: it makes the bytes and judges the replies.
struct Handshake {
    enum Verdict {
        case pending
        case ready
        case failed(RedisError)
    }

    private enum Step { case login, database, name, script, ping }

    private var steps: [(step: Step, command: RedisCommand)] = []
    private var answered = 0

    init(_ configuration: RedisConfiguration, scripts: [RedisCommand] = []) {
        if let password = configuration.password {
            var login = RedisCommand("AUTH")
            if let username = configuration.username { login.append(username) }
            login.append(password)
            steps.append((.login, login))
        }
        if configuration.database != 0 {
            steps.append((.database, RedisCommand("SELECT", String(configuration.database))))
        }
        if let name = configuration.clientName {
            steps.append((.name, RedisCommand("CLIENT", "SETNAME", name)))
        }
        for load in scripts { steps.append((.script, load)) }
        // Last, because a server that still loads its data accepts the others.
        steps.append((.ping, RedisCommand("PING")))
    }

    /// Writes all commands.
    func encode(into buffer: inout ByteBuffer) {
        for step in steps { step.command.encode(into: &buffer) }
    }

    /// Judges the next reply.
    mutating func received(_ reply: RedisReply) -> Verdict {
        guard answered < steps.count else {
            return .failed(RedisError(.protocol, .unknown, "the login got a reply too many"))
        }
        let step = steps[answered].step
        answered += 1
        if let error = reply.error, let failure = Self.failure(of: step, error) { return .failed(failure) }
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
        // A user may lack the permission for these; the operator then names clients and loads scripts. A
        // script that does not compile tells its callers so.
        case .name, .script: return nil
        case .ping:
            return error.prefix == "NOPERM"
                ? nil : RedisError(.connection, .notSent, "Redis is not ready: \(error.prefix ?? "error")")
        }
    }
}
