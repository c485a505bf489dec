// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import Logging
import RedisSessions
import Sessions

/// Where the sessions are; no secret is taken from the command line, which other users of the machine can read.
struct ConnectionOptions: ParsableArguments {
    @Option(
        help:
            "URL of Redis, without a password: redis://, rediss://, redis-cluster://, redis-sentinel://, unix://."
    )
    var redis: String?
    @Option(help: "ACL user of Redis.") var redisUser: String?
    @Option(help: "File with the password of Redis.", completion: .file()) var passwordFile: String?
    @Option(help: "ACL user of the sentinels.") var sentinelUser: String?
    @Option(help: "File with the password of the sentinels.", completion: .file())
    var sentinelPasswordFile: String?
    @Option(help: "Certificate authority of a TLS server, as a PEM file.", completion: .file())
    var caFile: String?
    @Option(help: "Name of the application, as it is given to the store.") var application: String?
    @Option(
        help: "File with the application's peppers in their order, as base64 or the word none, one a line.",
        completion: .file()
    )
    var pepperFile: String?

    /// The name of the application.
    func applicationName() throws -> String {
        guard let name = application ?? Self.variable("SESSIONS_APPLICATION") else {
            throw ValidationError("Name the application: --application NAME or SESSIONS_APPLICATION.")
        }
        return name
    }

    private var url: String? { redis ?? Self.variable("SESSIONS_REDIS_URL") }

    /// Whether there is a URL of Redis.
    var namesServer: Bool { url != nil }

    /// The settings of the client.
    func configuration() throws -> RedisConfiguration {
        guard let url else {
            throw ValidationError("Name the server: --redis URL or SESSIONS_REDIS_URL.")
        }
        var configuration = try RedisConfiguration(url: url)
        guard redis == nil || configuration.password == nil else {
            throw ValidationError(
                """
                A password on the command line can be read by others. Put it into --password-file, \
                SESSIONS_REDIS_PASSWORD or SESSIONS_REDIS_URL.
                """
            )
        }
        if let user = redisUser ?? Self.variable("SESSIONS_REDIS_USER") { configuration.username = user }
        if let passwordFile {
            configuration.password = try Self.text(of: passwordFile, "password")
        } else if let password = Self.variable("SESSIONS_REDIS_PASSWORD") {
            configuration.password = password
        }
        guard configuration.username == nil || configuration.password != nil else {
            throw ValidationError(
                "A user of Redis needs a password: --password-file or SESSIONS_REDIS_PASSWORD."
            )
        }
        try setSentinelLogin(&configuration)
        if let caFile = caFile ?? Self.variable("SESSIONS_REDIS_CA") {
            guard configuration.tls != nil else {
                throw ValidationError("A certificate authority needs a URL with TLS: rediss://…")
            }
            configuration.tls?.caFile = caFile
            if case .sentinel(var sentinels) = configuration.topology {
                sentinels.tls?.caFile = caFile
                configuration.topology = .sentinel(sentinels)
            }
        }
        // An operator would rather wait than see an error.
        configuration.commandTimeout = .seconds(5)
        return configuration
    }

    private func setSentinelLogin(_ configuration: inout RedisConfiguration) throws {
        let user = sentinelUser ?? Self.variable("SESSIONS_SENTINEL_USER")
        let password =
            try sentinelPasswordFile.map { try Self.text(of: $0, "password of the sentinels") }
            ?? Self.variable("SESSIONS_SENTINEL_PASSWORD")
        guard user != nil || password != nil else { return }
        guard case .sentinel(var sentinels) = configuration.topology else {
            throw ValidationError("A login of sentinels needs a URL that names them: redis-sentinel://…")
        }
        guard let password else {
            throw ValidationError(
                "A user of the sentinels needs a password: --sentinel-password-file or SESSIONS_SENTINEL_PASSWORD."
            )
        }
        (sentinels.username, sentinels.password) = (user, password)
        configuration.topology = .sentinel(sentinels)
    }

    /// The client and the store on it; opens no connection.
    func open() throws -> (client: RedisClient, store: RedisSessionStore) {
        let application = try applicationName()
        // What the client would log is in the errors, and in the answers of `doctor`.
        let silent = Logger(label: "sessionctl") { _ in SwiftLogNoOpLogHandler() }
        let client = RedisClient(try configuration(), logger: silent)
        return (client, try RedisSessionStore(client, application: application, peppers: try peppers()))
    }

    private func peppers() throws -> [SessionPepper] {
        let text =
            if let pepperFile { try Self.text(of: pepperFile, "peppers") } else {
                Self.variable("SESSIONS_PEPPERS") ?? ""
            }
        return try text.split { $0.isWhitespace || $0 == "," }.map { word in
            if word == "none" { return .none }
            let base64 = word.replacing("-", with: "+").replacing("_", with: "/")
                .trimmingCharacters(in: ["="])
            let padding = String(repeating: "=", count: (4 - base64.utf8.count % 4) % 4)
            guard let bytes = Data(base64Encoded: base64 + padding) else {
                throw ValidationError("A pepper is not base64.")
            }
            return try SessionPepper(Array(bytes))
        }
    }

    private static func text(of path: String, _ what: String) throws -> String {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
            throw ValidationError("The file with the \(what) cannot be read.")
        }
        return text.trimmingCharacters(in: .newlines)
    }

    private static func variable(_ name: String) -> String? {
        ProcessInfo.processInfo.environment[name].flatMap { $0.isEmpty ? nil : $0 }
    }
}

/// A subcommand that asks Redis.
protocol RedisCommandLine: AsyncParsableCommand {
    var connection: ConnectionOptions { get }
    /// Does the work; `ExitCode` ends the program without a message.
    func run(_ client: RedisClient, _ store: RedisSessionStore) async throws
}

extension RedisCommandLine {
    func run() async throws { try await connect() }

    /// Opens the client for `run(_:_:)` and closes it.
    func connect() async throws {
        do {
            let (client, store) = try connection.open()
            try await run(client, store)
            await client.shutdown()
        } catch let error as SessionError {
            try Output.fail(error.message)
        } catch let error as RedisError {
            try Output.fail("\(error)")
        }
    }
}
