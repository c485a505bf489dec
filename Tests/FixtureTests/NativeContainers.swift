// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// The processes of the containers without an engine: their commands, files and settings, with loopback ports
/// for their names and a temporary folder for their volumes.
final class NativeContainers {
    /// What did not start.
    struct Failure: Error { let description: String }

    let files: ContainerFiles
    /// Holds `/run/secrets`, and a folder for the data of each Redis.
    let folder: URL
    /// Where each name listens, as the files write it: `redis:6379`.
    private(set) var ports: [String: Int] = [:]

    var secrets: URL { folder.appending(path: "secrets") }
    var certificate: String { secrets.appending(path: "tls/certificate.pem").path }

    /// Makes the secrets as the service `secrets` does, and takes a port for each address.
    init() async throws {
        files = try ContainerFiles()
        folder = try makeTemporaryFolder("containers")
        let command = try files.service("secrets")["entrypoint"]?.texts ?? []
        try #require(command.count == 3 && command[2] == "/run/secrets")
        let script = command[1].replacing(
            "/containers",
            with: "\(ContainerFiles.root.path)/Samples/containers"
        )
        try await run(command[0], [script, secrets.path])
        let addresses =
            ["redis:6379", "redis-replica:6379", "0.0.0.0:8080", "0.0.0.0:8443"]
            + (1...3).flatMap { ["app\($0):8080", "sentinel\($0):26379"] }
        for address in addresses { ports[address] = try freePort() }
        // A user for the tests' own questions; the containers have none.
        try edit("redis/users.acl") { $0 + "user tester on nopass allkeys allchannels +@all\n" }
        try edit("redis/redis.conf") { $0.replacing("/run/secrets", with: secrets.path) }
    }

    deinit { removeTemporaryFolder(folder) }

    /// The names of the files in each folder of secrets.
    func secretNames() throws -> [String: Set<String>] {
        try ["app", "redis", "tls"].reduce(into: [:]) {
            let names = try FileManager.default.contentsOfDirectory(atPath: secrets.appending(path: $1).path)
            $0[$1] = Set(names)
        }
    }

    /// Changes one of the secrets.
    func edit(_ path: String, _ change: (String) -> String) throws {
        let file = secrets.appending(path: path)
        try change(try String(contentsOf: file, encoding: .utf8)).write(
            to: file,
            atomically: false,
            encoding: .utf8
        )
    }

    /// A text of the files with native paths and addresses.
    func native(_ text: String) -> String {
        ports.reduce(text.replacing("/run/secrets", with: secrets.path)) {
            $0.replacing($1.key, with: "127.0.0.1:\($1.value)")
        }
    }

    /// Starts `redis` or `redis-replica` with the service's command, and waits until its health check passes.
    func startRedis(_ name: String = "redis") async throws -> ChildProcess {
        let port = try #require(ports["\(name):6379"])
        let data = folder.appending(path: name)
        try FileManager.default.createDirectory(at: data, withIntermediateDirectories: true)
        let command = try files.service(name)["command"]?.texts ?? []
        let arguments = command.dropFirst().map {
            switch $0 {
            case "redis", "redis-replica": "localhost"
            case "6379": "\(ports["redis:6379"]!)"
            default: native($0)
            }
        }
        let server = try ChildProcess(
            command[0],
            arguments + ["--port", "\(port)", "--bind", "127.0.0.1", "-::1", "--dir", data.path]
        )
        try await untilHealthy(name, server, port: port, insteadOf: 6379)
        return server
    }

    /// Starts a sentinel with the service's command, and a folder of its own.
    func startSentinel(_ name: String) async throws -> ChildProcess {
        let port = try #require(ports["\(name):26379"])
        let data = folder.appending(path: name)
        try FileManager.default.createDirectory(at: data, withIntermediateDirectories: true)
        let command = (try files.service(name)["command"]?.texts ?? []).map {
            native($0).replacing("/data", with: data.path)
        }
        try #require(command.count == 3)
        return try ChildProcess(
            command[0],
            [command[1], command[2] + " --port \(port) --bind 127.0.0.1 -::1"]
        )
    }

    /// Waits until the health check of a service passes.
    func untilHealthy(_ name: String, _ child: ChildProcess, port: Int, insteadOf usual: Int) async throws {
        let check = try files.healthCheck(of: name).map {
            native($0).replacing("-p \(usual)", with: "-p \(port)").replacing("/\(usual)", with: "/\(port)")
                .replacing(/^\d+$/, with: "\(port)")
        }
        let isHealthy = await poll(seconds: 30, every: .milliseconds(50)) {
            (try? await run(check[0], Array(check.dropFirst()))) != nil
        }
        guard isHealthy else {
            throw Failure(
                description: "\(name) is not healthy by \(check):\n\(child.text.suffix(2000))"
            )
        }
    }

    /// Starts an instance with the service's settings, and those that are given, and waits until it is ready.
    func startInstance(_ name: String, _ changes: [String: String] = [:]) async throws -> ChildProcess {
        let port = try #require(ports["\(name):8080"])
        var environment = try files.environment(of: name).merging(changes) { $1 }.mapValues(native)
        environment["STOREFRONT_HOST"] = "127.0.0.1"
        environment["STOREFRONT_PORT"] = "\(port)"
        let instance = try ChildProcess(
            ContainerFiles.program("Storefront").path,
            [],
            environment: environment
        )
        let isReady = await poll(seconds: 20) { await ContainerFiles.status(port, "/readyz") == "200" }
        guard isReady else {
            throw Failure(description: "\(name) is not ready:\n\(instance.text.suffix(2000))")
        }
        return instance
    }

    /// Starts the balancer with the service's settings.
    func startBalancer() async throws -> ChildProcess {
        let environment = try files.environment(of: "haproxy").mapValues(native)
        let configuration = ContainerFiles.root.appending(path: "Samples/haproxy.cfg").path
        let balancer = try ChildProcess("haproxy", ["-db", "-f", configuration], environment: environment)
        try await untilHealthy("haproxy", balancer, port: ports["0.0.0.0:8443"]!, insteadOf: 8443)
        return balancer
    }

    /// Asks a Redis as a user of its file, the tests' own when none is given.
    func ask(_ name: String, user: String = "tester", _ command: String...) async throws -> String {
        let port = try #require(ports["\(name):6379"])
        let password = try String(
            contentsOf: secrets.appending(path: "app/redis_password"),
            encoding: .utf8
        ).trimmingCharacters(in: .newlines)
        return try await run(
            "redis-cli",
            ["-p", "\(port)", "--user", user, "--pass", password, "--no-auth-warning"] + command
        )
    }
}
