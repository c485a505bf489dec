// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// The steps of the Dockerfile, each natively as far as it makes sense without an engine.
@Suite struct DockerfileTests {
    /// Whether this machine has the images' Debian, with lists of its packages.
    private static let isImagesDebian: Bool = {
        guard let release = try? String(contentsOfFile: "/etc/os-release", encoding: .utf8),
            let lists = try? FileManager.default.contentsOfDirectory(atPath: "/var/lib/apt/lists")
        else { return false }
        return release.contains("VERSION_CODENAME=bookworm") && lists.contains { $0.contains("_Packages") }
    }()
    private static let isRoot = getuid() == 0

    private let files: ContainerFiles

    init() throws { files = try ContainerFiles() }

    @Test func `what is built is what the Makefile's packages build`() throws {
        #expect(files.stages.count == 3)
        let makefile = try ContainerFiles.read("Makefile")
        let needed = try #require(makefile.firstMatch(of: /BUILD_PACKAGES := (.*)/)).1
        let packages = ContainerFiles.packages(in: files.stages[1])
        #expect(packages == Set(needed.split(separator: " ").map(String.init)))
        #expect(files.stages[1].contains("swift build -c release --static-swift-stdlib --product Storefront"))
        #expect(files.stages[1].hasPrefix("swift:6.3-bookworm AS build"))
        #expect(files.stages[2].hasPrefix("debian:bookworm-slim\n"))
    }

    @Test func `the copied folders are those that the package names`() throws {
        let ignored = Set(try ContainerFiles.read(".dockerignore").split(separator: "\n").map(String.init))
        let manifest = try ContainerFiles.read("Package.swift")
        let named = Set(
            manifest.matches(of: /path: "([^"\/]+)/).map { String($0.1) } + [
                "Sources", "Tests", "Package.swift",
            ]
        )
        #expect(files.stages[1].contains("COPY . ."))
        #expect(named.isDisjoint(with: ignored), "a package whose folders are missing is not even loaded")
        #expect(ignored.isSuperset(of: [".git", ".build", ".secrets"]))
    }

    @Test(.enabled(if: isImagesDebian, "needs Debian bookworm with lists of packages"))
    func `every package that is installed exists`() async throws {
        for stage in files.stages.dropFirst() {
            let packages = ContainerFiles.packages(in: stage).sorted()
            #expect(!packages.isEmpty)
            for package in packages {
                let text = try await run("apt-cache", ["policy", package])
                #expect(text.contains(/Candidate: \d/), "no candidate for \(package)")
            }
        }
    }

    @Test(.enabled(if: isImagesDebian, "needs Debian bookworm with lists of packages"))
    func `the image that runs has every library of the program`() async throws {
        // `--static-swift-stdlib` takes Swift's own libraries in.
        let libraries = try await run("ldd", [ContainerFiles.program("Storefront").path])
            .matches(of: /=> (\/\S+)/).map { String($0.1) }.filter { !$0.contains("/swift/") }
        #expect(libraries.contains { $0.contains("libhiredis") })
        let installed = ContainerFiles.packages(in: files.stages[2])
        let options = ["recommends", "suggests", "conflicts", "breaks", "replaces", "enhances"].map {
            "--no-\($0)"
        }
        let closure = Set(
            try await run("apt-cache", ["depends", "--recurse"] + options + installed.sorted())
                .split(separator: "\n").filter { !$0.hasPrefix(" ") }.map(String.init)
        )
        #expect(closure.isSuperset(of: installed))
        for library in libraries {
            // Debian's /lib is a link to /usr/lib, and packages name files by either.
            let path = "*/" + URL(filePath: library).lastPathComponent
            let owners = Set(
                try await run("dpkg", ["--search", path]).matches(of: /(?m)^([a-z0-9.+-]+):/).map {
                    String($0.1)
                }
            )
            #expect(!owners.isDisjoint(with: closure), "\(library) is in \(owners), which is not installed")
        }
    }

    @Test func `programs that the image's commands call are installed`() throws {
        let packages = ContainerFiles.packages(in: files.stages[2])
        #expect(files.dockerfile.contains("CMD [\"curl\""))
        #expect(packages.contains("curl"))
        let script = try ContainerFiles.read("Samples/containers/secrets.sh")
        #expect(script.contains("openssl ") && packages.contains("openssl"))
    }

    @Test(.enabled(if: isRoot, "needs root"))
    func `the user is made, cannot log in, and is the one that the program runs as`() async throws {
        let command = try #require(files.stages[2].firstMatch(of: /useradd ([^\n]+)/)).1
        let folder = try makeTemporaryFolder("users")
        defer { removeTemporaryFolder(folder) }
        try FileManager.default.createDirectory(
            at: folder.appending(path: "etc"),
            withIntermediateDirectories: true
        )
        for name in ["passwd", "group", "shadow", "gshadow", "login.defs"] {
            try Data().write(to: folder.appending(path: "etc/\(name)"))
        }
        let words = command.split(separator: " ").map(String.init)
        try await run("/usr/sbin/useradd", ["--prefix", folder.path] + words)
        let users = try String(contentsOf: folder.appending(path: "etc/passwd"), encoding: .utf8)
        let user = try #require(files.stages[2].firstMatch(of: /\nUSER (\d+)\n/)).1
        #expect(users.contains(/(?m)^storefront:x:\d+:/) && users.contains(":\(user):"))
        #expect(users.contains("/usr/sbin/nologin"))
    }

    /// As the container does: its entry point, its environment, its user, no capabilities, no new ones.
    @Test func `the entry point runs without rights, and the health check passes`() async throws {
        let stage = files.stages[2]
        let entry = try #require(stage.firstMatch(of: /ENTRYPOINT \["([^"]+)"\]/)).1
        #expect(stage.contains("COPY --from=build /Storefront \(entry)\n"))
        #expect(files.stages[1].contains("/Storefront\" /Storefront"))
        let user = try #require(stage.firstMatch(of: /\nUSER (\d+)\n/)).1
        let root = try makeTemporaryFolder("image")
        defer { removeTemporaryFolder(root) }
        let program = root.appending(path: String(entry.dropFirst()))
        try FileManager.default.createDirectory(
            at: program.deletingLastPathComponent(),
            withIntermediateDirectories: true
        )
        // Where the program lies, another user may not be able to read.
        try FileManager.default.copyItem(at: ContainerFiles.program("Storefront"), to: program)

        let site = try await NativeContainers()
        let redis = try await site.startRedis()
        let port = try freePort()
        var environment = try files.environment(of: "app1").mapValues(site.native)
        for setting in try #require(stage.firstMatch(of: /\nENV ([^\n]+)/)).1.split(separator: " ") {
            let pair = setting.split(separator: "=")
            environment[String(pair[0])] = String(pair[1])
        }
        #expect(environment["STOREFRONT_HOST"] == "0.0.0.0" && environment["STOREFRONT_PORT"] == "8080")
        environment["STOREFRONT_HOST"] = "127.0.0.1"
        environment["STOREFRONT_PORT"] = "\(port)"
        let limits = ["--no-new-privs"]
        let asUser = [
            "--reuid", String(user), "--regid", String(user), "--clear-groups", "--inh-caps=-all",
            "--bounding-set=-all",
        ]
        let instance = try ChildProcess(
            "setpriv",
            limits + (Self.isRoot ? asUser : []) + [program.path],
            environment: environment
        )
        let check = try #require(stage.firstMatch(of: /HEALTHCHECK [^\[]*CMD \[([^\]]+)\]/)).1
            .split(separator: ",").map { $0.trimmingCharacters(in: CharacterSet(charactersIn: "\" ")) }
            .map { $0.replacing(":8080/", with: ":\(port)/") }
        let isHealthy = await poll(seconds: 20) {
            (try? await run(check[0], Array(check.dropFirst()))) != nil
        }
        #expect(isHealthy, "\(check): \(instance.text)")
        // The password was readable, too.
        #expect(await poll(seconds: 10) { await ContainerFiles.status(port, "/readyz") == "200" })
        let status = try String(contentsOfFile: "/proc/\(instance.pid)/status", encoding: .utf8)
        #expect(status.contains(/NoNewPrivs:\t1/))
        if Self.isRoot {
            #expect(status.contains("Uid:\t\(user)\t\(user)") && status.contains(/CapEff:\t0+\n/))
        }
        let signal = try #require(stage.firstMatch(of: /STOPSIGNAL (\w+)/)).1
        #expect(signal == "SIGTERM")
        instance.send(SIGTERM)
        #expect(try await instance.wait(seconds: 15) == 0)
        // Told to stop, it is not healthy any more, and after that it is gone.
        await #expect(throws: ChildProcess.Failure.self) { try await run(check[0], Array(check.dropFirst())) }
        await redis.stop()
    }
}
