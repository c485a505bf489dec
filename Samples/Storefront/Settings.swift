// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation

/// What one instance is told: by an option, else by the environment, else a default.
struct Settings {
    let host: String
    let port: Int
    let strategy: Strategy
    let redis: String
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
        port = try command.port ?? Self.port(given("PORT") ?? "8080")
        instance = command.instance ?? given("INSTANCE") ?? "storefront-\(port)"
        isPlainHTTP = try command.plainHttp || Self.truth(given("PLAIN_HTTP") ?? "false")
        demo = command.demo ?? given("DEMO")
        guard (1...65_535).contains(port) else {
            throw ValidationError("--port: \(port) is no port; give 1 to 65535.")
        }
        // The name travels in a header.
        guard instance.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw ValidationError("--instance: give letters, digits and signs, without spaces.")
        }
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
