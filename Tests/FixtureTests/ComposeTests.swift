// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// The containers' picture is the native demo's: commands, ports, environment, health paths.
///
/// Container engines are not at hand everywhere, so nothing is started from an image here; what the files say
/// is compared with the scripts and tried natively.
@Suite struct ComposeTests {
    private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()
    private static let instances = ["app1", "app2", "app3"]

    private let compose: ComposeFile
    private let dockerfile: String
    private let demo: String
    private let haproxy: String

    init() throws {
        compose = try ComposeFile(Self.read("compose.yaml"))
        dockerfile = try Self.read("Dockerfile").replacing("\\\n", with: " ")
        demo = try Self.read("Scripts/demo.sh").replacing("\\\n", with: " ")
        haproxy = try Self.read("Samples/haproxy.cfg")
    }

    @Test func `the containers are the demo's processes`() throws {
        #expect(try service().keys == Set(["redis", "haproxy"] + Self.instances))
        #expect(demo.contains("instances=(\(Self.instances.joined(separator: " ")))"))
    }

    @Test func `instances get the same settings, and the program knows each of them`() async throws {
        let help = try await run(Self.program("Storefront").path, ["--help"])
        let known = Self.names(in: help)
        #expect(known == Self.names(in: demo))
        for name in Self.instances {
            let environment = try environment(of: name)
            #expect(Set(environment.keys) == known)
            #expect(environment["STOREFRONT_INSTANCE"] == name)
            #expect(environment["STOREFRONT_HOST"] == "0.0.0.0")
            #expect(environment["STOREFRONT_REDIS"] == "redis://redis:6379")
            #expect(
                demo.contains("STOREFRONT_PLAIN_HTTP=\(try #require(environment["STOREFRONT_PLAIN_HTTP"])) ")
            )
        }
    }

    @Test func `Redis gets the same options, and the instances its port`() throws {
        let command = try service("redis")["command"]?.texts ?? []
        let native = try #require(Self.line(of: demo, containing: "launch redis redis-server"))
        for option in [["--save", ""], ["--appendonly", "no"]] {
            let index = try #require(command.firstIndex(of: option[0]))
            #expect(command[index + 1] == option[1])
            #expect(native.contains("\(option[0]) \(option[1].isEmpty ? "\"\"" : option[1])"))
        }
        #expect(command.first == "redis-server" && command.contains("6379"))
        #expect(try service("redis")["ports"] == nil, "Redis is not published")
        #expect(try service("redis")["healthcheck"]?["test"]?.texts.suffix(2) == ["6379", "ping"])
    }

    @Test func `the balancer runs the demo's configuration with the containers' addresses`() async throws {
        let balancer = try service("haproxy")
        let environment = try environment(of: "haproxy")
        // The demo has TLS at the balancer besides.
        let needed = haproxy.replacing(/(?ms)^\.if defined.*?^\.endif$/, with: "")
        let used = Set(needed.matches(of: /"\$\{(\w+)\}"/).map { String($0.1) })
        #expect(used == Set(environment.keys))
        for name in Self.instances {
            let port = try #require(try self.environment(of: name)["STOREFRONT_PORT"])
            #expect(environment[name.uppercased()] == "\(name):\(port)")
            #expect(haproxy.contains("server \(name) \"${\(name.uppercased())}\""))
        }
        let port = try #require(environment["LISTEN"]?.split(separator: ":").last)
        #expect(balancer["ports"]?.texts == ["127.0.0.1:8080:\(port)"])
        let mount = try #require(balancer["volumes"]?.texts.first).split(separator: ":")
        #expect(mount[0] == "./Samples/haproxy.cfg" && demo.contains("Samples/haproxy.cfg"))

        // Where Debian has haproxy, and not everybody looks.
        let path = "PATH=\(ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin"):/usr/sbin"
        let settings = [path] + environment.map { "\($0)=\($1)" }
        try await run(
            "env",
            settings + ["haproxy", "-c", "-f", Self.root.appending(path: "Samples/haproxy.cfg").path]
        )
    }

    @Test func `an instance with the containers' settings answers the path that everybody checks`()
        async throws
    {
        let path = try #require(haproxy.firstMatch(of: /http-check send meth GET uri (\S+)/)).1
        let checked = try #require(
            dockerfile.firstMatch(of: /HEALTHCHECK .*"http:\/\/127\.0\.0\.1:(\d+)([^"]+)"/)
        )
        var environment = try environment(of: "app1")
        #expect(checked.2 == path)
        #expect(String(checked.1) == environment["STOREFRONT_PORT"])
        #expect(dockerfile.contains("EXPOSE \(checked.1)\n"))

        let redis = try await RedisServer()
        let port = try freePort()
        environment["STOREFRONT_HOST"] = "127.0.0.1"
        environment["STOREFRONT_PORT"] = "\(port)"
        environment["STOREFRONT_REDIS"] = redis.url
        let instance = try ChildProcess(Self.program("Storefront").path, [], environment: environment)
        for path in [String(path), "/readyz"] {
            let isHealthy = await poll(seconds: 20) { await Self.status(port, path) == "200" }
            #expect(isHealthy, "\(path) of \(instance.text)")
        }
        await instance.stop(SIGKILL)
    }

    @Test func `an instance that is told to stop says so before it closes its port`() async throws {
        let redis = try await RedisServer()
        let port = try freePort()
        let instance = try ChildProcess(
            Self.program("Storefront").path,
            ["--port", "\(port)", "--redis", redis.url, "--plain-http"]
        )
        #expect(await poll(seconds: 20) { await Self.status(port, "/healthz") == "200" })
        instance.send(SIGTERM)
        #expect(await poll(seconds: 5) { await Self.status(port, "/healthz") == "503" })
        #expect(await Self.status(port, "/") == "200")
        #expect(try await instance.wait(seconds: 15) == 0)
    }

    @Test
    func `the image builds the sample with the packages that the build needs, and runs it without rights`()
        async throws
    {
        let stages = dockerfile.components(separatedBy: "\nFROM ")
        #expect(stages.count == 3)
        let makefile = try Self.read("Makefile")
        let needed = try #require(makefile.firstMatch(of: /BUILD_PACKAGES := (.*)/)).1
        #expect(Self.packages(in: stages[1]) == Set(needed.split(separator: " ").map(String.init)))
        #expect(stages[1].contains("swift build -c release --static-swift-stdlib --product Storefront"))

        let libraries = try await run("ldd", [Self.program("Storefront").path])
        let hiredis = try #require(libraries.firstMatch(of: /libhiredis\.so\.([\d.]+)/)).1
        #expect(Self.packages(in: stages[2]).isSuperset(of: ["libhiredis\(hiredis)", "curl"]))
        let copied = try #require(stages[2].firstMatch(of: /COPY --from=build \/Storefront (\S+)/)).1
        #expect(stages[2].contains("ENTRYPOINT [\"\(copied)\"]"))
        #expect(try #require(stages[2].firstMatch(of: /\nUSER (\S+)/)).1 != "root")
        for name in Self.instances { #expect(try service(name)["build"]?.text == ".") }
    }

    // MARK: Reading

    private func service() throws -> ComposeFile { try #require(compose["services"]) }
    private func service(_ name: String) throws -> ComposeFile { try #require(try service()[name]) }
    private func environment(of name: String) throws -> [String: String] {
        try service(name)["environment"]?.environment ?? [:]
    }

    private static func read(_ path: String) throws -> String {
        try String(contentsOf: root.appending(path: path), encoding: .utf8)
    }

    /// A program of this package, beside the test program.
    private static func program(_ name: String) -> URL {
        URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent().appending(path: name)
    }

    private static func names(in text: String) -> Set<String> {
        Set(text.matches(of: /STOREFRONT_[A-Z_]+/).map { String($0.0) })
    }

    private static func line(of text: String, containing part: String) -> Substring? {
        text.split(separator: "\n").first { $0.contains(part) }
    }

    private static func packages(in stage: String) -> Set<String> {
        guard let list = stage.firstMatch(of: /--no-install-recommends ([^&]+)&&/)?.1 else { return [] }
        return Set(list.split(whereSeparator: \.isWhitespace).map(String.init))
    }

    private static func status(_ port: Int, _ path: String) async -> String? {
        let quietly = ["--silent", "--max-time", "5", "--output", "/dev/null", "--write-out", "%{http_code}"]
        return try? await run("curl", quietly + ["http://127.0.0.1:\(port)\(path)"])
    }
}
