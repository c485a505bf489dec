// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import Hiredis

/// What one instance is told: by an option, else by the environment, else a default.
struct Settings {
    let host: String
    let port: Int
    let strategy: Strategy
    let redis: String
    let redisUser: String?
    let redisPasswordFile: String?
    let sealKeys: String?
    let instance: String
    let isPlainHTTP: Bool
    /// The folder that `Scripts/demo.sh` and its instances share; nil outside of the demo.
    let demo: String?

    init(_ command: Storefront, environment: [String: String] = ProcessInfo.processInfo.environment) throws {
        let given = { (name: String) in environment["STOREFRONT_\(name)"].flatMap { $0.isEmpty ? nil : $0 } }
        host = command.host ?? given("HOST") ?? "127.0.0.1"
        strategy = try command.store ?? Self.strategy(given("STORE") ?? "redis")
        sealKeys = command.sealKeys ?? given("SEAL_KEYS")
        redis = command.redis ?? given("REDIS") ?? "redis://127.0.0.1"
        redisUser = command.redisUser ?? given("REDIS_USER")
        redisPasswordFile = command.redisPasswordFile ?? given("REDIS_PASSWORD_FILE")
        port = try command.port ?? Self.port(given("PORT") ?? "8080")
        instance = command.instance ?? given("INSTANCE") ?? "storefront-\(port)"
        isPlainHTTP = try command.plainHttp || Self.truth(given("PLAIN_HTTP") ?? "false")
        demo = command.demo ?? given("DEMO")
        guard (1...65_535).contains(port) else {
            throw ValidationError("--port: \(port) is no port; give 1 to 65535.")
        }
        guard redisUser == nil || redisPasswordFile != nil else {
            throw ValidationError("--redis-user needs --redis-password-file.")
        }
        // The name travels in a header.
        guard instance.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw ValidationError("--instance: give letters, digits and signs, without spaces.")
        }
    }

    /// How Redis is reached; a password file is read for each new connection, so that a new password needs no restart.
    func redisConfiguration() throws -> RedisConfiguration {
        var configuration = try RedisConfiguration(url: redis)
        guard let file = redisPasswordFile else { return configuration }
        let user = redisUser
        configuration.credentials = {
            let text = try String(contentsOfFile: file, encoding: .utf8)
            return RedisCredentials(username: user, password: text.trimmingCharacters(in: .newlines))
        }
        return configuration
    }

    private static func port(_ text: String) throws -> Int {
        guard let port = Int(text) else {
            throw ValidationError("STOREFRONT_PORT: “\(text)” is not a number.")
        }
        return port
    }

    private static func strategy(_ text: String) throws -> Strategy {
        guard let strategy = Strategy(rawValue: text) else {
            let known = Strategy.allCases.map(\.rawValue).joined(separator: ", ")
            throw ValidationError("STOREFRONT_STORE: give one of \(known), not “\(text)”.")
        }
        return strategy
    }

    private static func truth(_ text: String) throws -> Bool {
        switch text.lowercased() {
        case "1", "true", "yes": return true
        case "0", "false", "no": return false
        default: throw ValidationError("STOREFRONT_PLAIN_HTTP: give true or false, not “\(text)”.")
        }
    }
}
