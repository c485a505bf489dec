// SPDX-License-Identifier: Apache-2.0

import Foundation
import Synchronization
import TestSupport
import Testing

/// The configurations under `Samples/balancers`.
enum Pinning: String, CaseIterable, CustomTestStringConvertible {
    case haproxySource = "haproxy-source.cfg"
    case haproxyCookie = "haproxy-cookie.cfg"
    case haproxyHash = "haproxy-hash.cfg"
    case nginxSource = "nginx-source.conf"
    case nginxCookie = "nginx-cookie.conf"
    case nginxHash = "nginx-hash.conf"

    /// Those that look at cookies.
    static let byCookie: [Pinning] = [.haproxyCookie, .haproxyHash, .nginxCookie, .nginxHash]
    /// Those that send a browser back to its first instance when that one is back.
    var returnsHome: Bool { ![.haproxyCookie, .nginxCookie].contains(self) }
    /// Whether the route is an alias that names an instance.
    var hasAliases: Bool { !returnsHome }
    var isHAProxy: Bool { rawValue.hasPrefix("haproxy") }
    var testDescription: String { rawValue }

    /// The file.
    var url: URL {
        var root = URL(filePath: #filePath)
        for _ in 0..<3 { root.deleteLastPathComponent() }
        return root.appending(path: "Samples/balancers/\(rawValue)")
    }
}

/// A real HAProxy or nginx with one of the sample configurations, on a free loopback port.
final class Balancer: Listener {
    /// Why it does not serve.
    struct Failure: Error { let description: String }

    let port: Int
    /// What stands for the instances in route cookies, in their order.
    let aliases: [String]
    private let pinning: Pinning
    /// Where HAProxy takes orders while it runs.
    private let orders: Int
    private let text: String
    private let settings: [String: String]
    private let folder: URL
    private let child: ChildProcess

    /// Starts it and waits until it forwards requests.
    ///
    /// - Parameters:
    ///   - pinning: which of the sample configurations.
    ///   - servers: the instances, in the order of the configuration's names for them.
    ///   - plainHTTP: whether the documented switch for development without TLS is thrown.
    /// - Throws: `Failure` when it does not serve, and errors of the file system.
    init(_ pinning: Pinning, before servers: [any Listener], plainHTTP: Bool = false) async throws {
        self.pinning = pinning
        port = try freePort()
        orders = try freePort()
        aliases = servers.map { _ in String(format: "%016lx", UInt64.random(in: 0...UInt64.max)) }
        var settings = ["LISTEN": "127.0.0.1:\(port)"]
        for (index, server) in servers.enumerated() {
            settings["APP\(index + 1)"] = "127.0.0.1:\(server.port)"
            settings["ALIAS\(index + 1)"] = aliases[index]
        }
        folder = try makeTemporaryFolder("balancer")
        if pinning.isHAProxy {
            text = ""
            var environment = settings
            if plainHTTP { environment["PLAIN_HTTP"] = "1" }
            let socket = folder.appending(path: "orders.cfg")
            try "global\n    stats socket ipv4@127.0.0.1:\(orders) level admin\n".write(
                to: socket,
                atomically: false,
                encoding: .utf8
            )
            child = try ChildProcess(
                "haproxy",
                ["-db", "-f", pinning.url.path, "-f", socket.path],
                environment: environment
            )
        } else {
            let sample = try String(contentsOf: pinning.url, encoding: .utf8)
            // What the file's comment says: sed 's/__Host-//; s/ Secure;//'.
            text = plainHTTP ? sample.replacing("__Host-", with: "").replacing(" Secure;", with: "") : sample
            try Self.main(including: pinning).write(
                to: folder.appending(path: "main.conf"),
                atomically: false,
                encoding: .utf8
            )
            try Self.fill(text, settings).write(
                to: folder.appending(path: pinning.rawValue),
                atomically: false,
                encoding: .utf8
            )
            child = try ChildProcess(
                "nginx",
                ["-p", folder.path + "/", "-c", "main.conf", "-e", "stderr"]
            )
        }
        self.settings = settings
        let isUp = await poll(seconds: 20, every: .milliseconds(20)) {
            guard self.child.isRunning else { return true }
            return (try? await Browser().get("/healthz", on: self).status) == 200
        }
        guard isUp, child.isRunning else {
            await stop()
            throw Failure(description: "\(pinning.rawValue) does not serve:\n\(child.text.suffix(2000))")
        }
    }

    deinit { removeTemporaryFolder(folder) }

    /// Everything it has printed.
    var output: String { child.text }

    /// Ends it, worker processes included.
    func stop() async { await child.stop(SIGTERM) }

    /// Takes an instance out before it stops, where the balancer does not ask for its health: what an
    /// operator of nginx does.
    func takeOut(_ server: any Listener) async throws {
        let marked = Self.fill(text, settings).replacing(
            "server 127.0.0.1:\(server.port)",
            with: "server 127.0.0.1:\(server.port) down"
        )
        try marked.write(to: folder.appending(path: pinning.rawValue), atomically: false, encoding: .utf8)
        child.send(SIGHUP)
        let isTaken = await poll(seconds: 10) { self.child.text.contains("gracefully shutting down") }
        guard isTaken else { throw Failure(description: "no reload:\n\(child.text.suffix(2000))") }
    }

    /// Leaves an instance the browsers that it has and sends it no others: what an operator of HAProxy can do
    /// in advance.
    func drain(_ server: any Listener) async throws {
        let name = try #require(settings.first { $0.value == "127.0.0.1:\(server.port)" }).key.lowercased()
        let answer = try await sendRaw(Array("set server instances/\(name) state drain\n".utf8), port: orders)
        #expect(answer.trimmingCharacters(in: .whitespacesAndNewlines) == "")
    }

    /// Waits until HAProxy's health check has noticed that an instance is gone: until then it passes the
    /// instance's visitors on one by one, and not always to where they will stay.
    ///
    /// nginx has no health check and learns it from the requests.
    func notice(endOf server: any Listener) async throws {
        guard pinning.isHAProxy else { return }
        let name = try #require(settings.first { $0.value == "127.0.0.1:\(server.port)" }).key.lowercased()
        let isNoticed = await poll(seconds: 10, every: .milliseconds(50)) {
            let rows = (try? await sendRaw(Array("show stat\n".utf8), port: self.orders)) ?? ""
            return rows.split(separator: "\n").contains {
                $0.hasPrefix("instances,\(name),") && $0.contains(",DOWN")
            }
        }
        #expect(isNoticed)
    }

    /// What `envsubst` does.
    private static func fill(_ text: String, _ settings: [String: String]) -> String {
        settings.reduce(text) { $0.replacing("${\($1.key)}", with: $1.value) }
    }

    /// The file that includes the sample, as Debian's does, but with everything that is written in one
    /// folder.
    private static func main(including pinning: Pinning) -> String {
        let module = "/usr/lib/nginx/modules/ngx_stream_module.so"
        let start = "daemon off;\npid nginx.pid;\nerror_log stderr notice;\nevents {}\n"
        if pinning == .nginxSource {
            // Elsewhere than on Debian it is compiled in.
            let load = FileManager.default.fileExists(atPath: module) ? "load_module \(module);\n" : ""
            return "\(load)\(start)include \(pinning.rawValue);\n"
        }
        let folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map { "\($0)_temp_path \($0);" }
            .joined(separator: " ")
        return "\(start)http { access_log off; \(folders) include \(pinning.rawValue); }\n"
    }
}
