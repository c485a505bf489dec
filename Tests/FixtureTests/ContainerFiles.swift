// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// The files that describe the containers, as the tests read them.
struct ContainerFiles {
    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()
    static let instances = ["app1", "app2", "app3"]

    let compose: ComposeFile
    /// `compose.yaml` as it stands, comments included.
    let composeText: String
    /// Continued lines are one line.
    let dockerfile: String
    let demo: String
    let haproxy: String

    init() throws {
        composeText = try Self.read("compose.yaml")
        compose = try ComposeFile(composeText)
        dockerfile = try Self.read("Dockerfile").replacing("\\\n", with: " ")
        demo = try Self.read("Scripts/demo.sh").replacing("\\\n", with: " ")
        haproxy = try Self.read("Samples/haproxy.cfg")
    }

    var services: ComposeFile { get throws { try #require(compose["services"]) } }
    func service(_ name: String) throws -> ComposeFile { try #require(try services[name]) }

    /// The environment of a service, with the defaults of variables.
    func environment(of name: String) throws -> [String: String] {
        (try service(name)["environment"]?.environment ?? [:]).mapValues {
            $0.replacing(/\$\{\w+:-([^}]*)\}/) { $0.output.1 }
        }
    }

    /// The command of a service's health check, ready to be run.
    func healthCheck(of name: String) throws -> [String] {
        let test = try service(name)["healthcheck"]?["test"]?.texts ?? []
        let command = test.dropFirst().map { $0.replacing("$$", with: "$") }
        return test.first == "CMD-SHELL" ? ["sh", "-c"] + command : command
    }

    /// The stages of the Dockerfile: what builds, and what runs.
    var stages: [String] { dockerfile.components(separatedBy: "\nFROM ") }

    /// The packages that a stage of the Dockerfile installs.
    static func packages(in stage: String) -> Set<String> {
        guard let list = stage.firstMatch(of: /--no-install-recommends ([^&]+)&&/)?.1 else { return [] }
        return Set(list.split(whereSeparator: \.isWhitespace).map(String.init))
    }

    /// The time that GracefulDrain gives the balancer, in seconds.
    static func noticeSeconds() throws -> Int {
        let text = try read("Samples/Storefront/Storefront.swift")
        let notice = try #require(text.firstMatch(of: /GracefulDrain\(notice: \.seconds\((\d+)\)\)/)).1
        return try #require(Int(notice))
    }

    static func read(_ path: String) throws -> String {
        try String(contentsOf: root.appending(path: path), encoding: .utf8)
    }

    /// A program of this package, beside the test program.
    static func program(_ name: String) -> URL {
        URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent().appending(path: name)
    }

    /// The settings that the Storefront's help names.
    static func names(in text: String) -> Set<String> {
        Set(text.matches(of: /STOREFRONT_[A-Z_]+/).map { String($0.0) })
    }

    /// The status that a path answers with; nil without an answer.
    static func status(_ port: Int, _ path: String) async -> String? {
        let quietly = ["--silent", "--max-time", "5", "--output", "/dev/null", "--write-out", "%{http_code}"]
        return try? await run("curl", quietly + ["http://127.0.0.1:\(port)\(path)"])
    }
}
