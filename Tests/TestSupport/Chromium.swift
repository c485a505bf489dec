// SPDX-License-Identifier: Apache-2.0

import Foundation
import NIOCore

/// A real headless Chromium with a profile of its own, driven over its DevTools pipe.
public actor Chromium {
    /// Whether there is one on this machine.
    public static let isInstalled = FileManager.default.isExecutableFile(atPath: path)
    private static let path = "/usr/bin/chromium"

    /// What it did not do.
    public struct Failure: Error, CustomStringConvertible {
        /// A sentence.
        public let description: String
    }

    private let folder: URL
    private let child: ChildProcess
    private let orders: Int32
    private let answers: Int32
    private var received: [UInt8] = []
    private var lastID = 0
    private var page: String?

    /// Starts it with one empty page.
    ///
    /// - Parameter flags: further arguments.
    /// - Throws: `Failure`, and errors of the file system.
    public init(_ flags: [String] = []) async throws {
        let folder = try makeTemporaryFolder("chromium")
        self.folder = folder
        let pipes = ["orders", "answers"].map { folder.appending(path: $0).path }
        for pipe in pipes where mkfifo(pipe, 0o600) != 0 { throw Failure(description: "no pipe") }
        // Both ends: opening does not wait for the other side then.
        orders = open(pipes[0], O_RDWR)
        answers = open(pipes[1], O_RDWR | O_NONBLOCK)
        child = try ChildProcess(
            "bash",
            ["-c", #"exec "$@" 3<"$ORDERS" 4>"$ANSWERS""#, "bash", Self.path]
                + [
                    "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
                    "--remote-debugging-pipe", "--user-data-dir=\(folder.appending(path: "profile").path)",
                ] + flags + ["about:blank"],
            environment: ["ORDERS": pipes[0], "ANSWERS": pipes[1]]
        )
        let targets = try await call("Target.getTargets")["targetInfos"].array
        guard let target = targets.first(where: { $0["type"] == .string("page") })?["targetId"].string else {
            throw Failure(description: "no page")
        }
        page =
            try await call("Target.attachToTarget", ["targetId": target, "flatten": true])["sessionId"]
            .string
        _ = try await call("Page.enable")
    }

    deinit {
        close(orders)
        close(answers)
        removeTemporaryFolder(folder)
    }

    /// Ends it.
    public func stop() async { await child.stop(SIGTERM) }

    /// Goes to an address and returns the text of the page.
    public func visit(_ url: String) async throws -> String {
        _ = try await call("Page.navigate", ["url": url])
        return try await settled(at: url)
    }

    /// Presses Back and returns the text of the page.
    public func goBack() async throws -> String {
        let history = try await call("Page.getNavigationHistory")
        guard let index = history["currentIndex"].int, index > 0 else {
            throw Failure(description: "nothing to go back to")
        }
        let entry = history["entries"].array[index - 1]
        _ = try await call("Page.navigateToHistoryEntry", ["entryId": entry["id"].int ?? 0])
        return try await settled(at: entry["url"].string ?? "")
    }

    /// Submits a form without fields and returns the text of the page that answers.
    public func submit(to path: String) async throws -> String {
        let before = try await evaluate("location.origin") ?? ""
        _ = try await evaluate(
            """
            document.body.insertAdjacentHTML('beforeend', '<form method=post action="\(path)"></form>');
            setTimeout(() => document.forms[document.forms.length - 1].submit())
            """
        )
        return try await settled(at: before + path)
    }

    /// Sends a request from the page and returns the answer's text.
    public func fetch(_ method: String, _ path: String) async throws -> String {
        try await evaluate("fetch('\(path)', {method: '\(method)'}).then(reply => reply.text())") ?? ""
    }

    /// Runs a script in the page; returns its result if that is a text.
    @discardableResult
    public func evaluate(_ script: String) async throws -> String? {
        try await call(
            "Runtime.evaluate",
            ["expression": script, "awaitPromise": true, "returnByValue": true]
        )["result"]["value"].string
    }

    /// Puts a cookie beside those that servers have set; `partition` is the site of the top frame (CHIPS).
    public func plant(_ name: String, _ value: String, at url: String, partition: String? = nil) async throws
    {
        var cookie: [String: Any] = [
            "name": name, "value": value, "url": url, "path": "/", "secure": true, "httpOnly": true,
            "sameSite": "Lax",
        ]
        if let partition {
            cookie["partitionKey"] = ["topLevelSite": partition, "hasCrossSiteAncestor": false]
        }
        guard try await call("Network.setCookie", cookie)["success"].bool == true else {
            throw Failure(description: "the cookie was refused")
        }
    }

    /// The values of all cookies of a name that an address would get.
    public func cookies(_ name: String, at url: String) async throws -> [String] {
        try await call("Network.getCookies", ["urls": [url]])["cookies"].array
            .filter { $0["name"] == .string(name) }.compactMap { $0["value"].string }
    }

    /// Waits until a page has arrived, and returns its text.
    private func settled(at url: String) async throws -> String {
        for _ in 0..<1000 {
            let script =
                "document.readyState == 'complete' && location.href == '\(url)' ? document.body.innerText : null"
            if let text = try await evaluate(script) { return text }
            try await Task.sleep(for: .milliseconds(10))
        }
        throw Failure(description: "\(url) did not arrive")
    }

    private func call(_ method: String, _ parameters: [String: Any] = [:]) async throws -> JSON {
        lastID += 1
        var order: [String: Any] = ["id": lastID, "method": method, "params": parameters]
        if let page { order["sessionId"] = page }
        let bytes = Array(try JSONSerialization.data(withJSONObject: order)) + [0]
        guard write(orders, bytes, bytes.count) == bytes.count else {
            throw Failure(description: "the pipe is full")
        }
        for _ in 0..<3000 {
            while let end = received.firstIndex(of: 0) {
                let message = try JSONDecoder().decode(JSON.self, from: Data(received[..<end]))
                received.removeFirst(end + 1)
                guard message["id"].int == lastID else { continue }
                guard message["error"] == .null else { throw Failure(description: "\(method): \(message)") }
                return message["result"]
            }
            var buffer = [UInt8](repeating: 0, count: 65_536)
            let count = read(answers, &buffer, buffer.count)
            if count > 0 { received += buffer[..<count] } else { try await Task.sleep(for: .milliseconds(5)) }
        }
        throw Failure(description: "no answer to \(method): \(child.text.suffix(500))")
    }
}
