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
    private var pages: [String] = []
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
        try await attach(to: target)
    }

    deinit {
        close(orders)
        close(answers)
        removeTemporaryFolder(folder)
    }

    /// Ends it.
    public func stop() async { await child.stop(SIGTERM) }

    /// Opens another tab, which the other calls are about from now on.
    public func openTab() async throws {
        page = nil
        let target = try await call("Target.createTarget", ["url": "about:blank"])["targetId"].string
        guard let target else { throw Failure(description: "no tab") }
        try await attach(to: target)
    }

    /// Goes on with one of the tabs, in the order of their opening.
    public func select(tab: Int) async throws {
        page = pages[tab]
        _ = try await call("Page.bringToFront")
    }

    private func attach(to target: String) async throws {
        let attached = try await call("Target.attachToTarget", ["targetId": target, "flatten": true])
        guard let id = attached["sessionId"].string else { throw Failure(description: "no page") }
        pages.append(id)
        page = id
        _ = try await call("Page.enable")
    }

    /// Clicks into the middle of the first element that a CSS selector finds.
    public func click(_ selector: String) async throws {
        let script = """
            (() => {
                const element = document.querySelector('\(selector)');
                element.scrollIntoView({block: 'center', behavior: 'instant'});
                const box = element.getBoundingClientRect();
                return `${box.x + box.width / 2} ${box.y + box.height / 2}`;
            })()
            """
        let place = try await evaluate(script)?.split(separator: " ").compactMap { Double($0) } ?? []
        guard place.count == 2 else { throw Failure(description: "no \(selector) to click") }
        for kind in ["mousePressed", "mouseReleased"] {
            var event: [String: Any] = ["type": kind, "button": "left", "clickCount": 1]
            (event["x"], event["y"]) = (place[0], place[1])
            _ = try await call("Input.dispatchMouseEvent", event)
        }
    }

    /// Types a text into the element that has the focus.
    public func type(_ text: String) async throws { _ = try await call("Input.insertText", ["text": text]) }

    /// Waits until a script is true in the page, which may go elsewhere meanwhile.
    ///
    /// - Parameters:
    ///   - condition: an expression.
    ///   - seconds: how long at most.
    /// - Throws: `Failure` with the page's text when the time is over.
    public func wait(until condition: String, seconds: Double = 20) async throws {
        let end = ContinuousClock.now + .seconds(seconds)
        while ContinuousClock.now < end {
            // A page that is just being left may fail.
            if (try? await evaluate("(\(condition)) ? 'yes' : null")) == "yes" { return }
            try await Task.sleep(for: .milliseconds(50))
        }
        let text = try await evaluate("document.body.innerText") ?? ""
        throw Failure(description: "\(condition) did not become true on:\n\(text)")
    }

    /// The text of the element with an ID; nil when there is none.
    public func text(_ id: String) async throws -> String? {
        try await evaluate("document.getElementById('\(id)')?.textContent ?? null")
    }

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
