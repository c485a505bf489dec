// SPDX-License-Identifier: Apache-2.0

import Foundation

/// A real browser without a window, with a profile of its own that goes with it.
public final class ChromiumRun: Sendable {
    private static let path = "/usr/bin/chromium"
    /// Whether there is a Chromium on this machine.
    public static let isInstalled = FileManager.default.isExecutableFile(atPath: path)

    private let child: ChildProcess
    private let profile: URL

    /// Opens a page; scripts in it run on until `stop()`.
    ///
    /// - Parameters:
    ///   - page: the address.
    ///   - arguments: further options of Chromium.
    /// - Throws: what `ChildProcess` throws.
    public init(_ page: String, _ arguments: [String] = []) throws {
        profile = try makeTemporaryFolder("chromium")
        let options = [
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--no-proxy-server",
            "--user-data-dir=\(profile.path)",
        ]
        child = try ChildProcess(Self.path, options + arguments + [page])
    }

    /// What Chromium has printed.
    public var text: String { child.text }

    /// Waits until Chromium has ended by itself, as it does after `--dump-dom`.
    public func wait(seconds: Double) async throws { _ = try await child.wait(seconds: seconds) }

    /// Ends it.
    public func stop() async { await child.stop(SIGTERM, seconds: 5) }

    deinit { removeTemporaryFolder(profile) }
}
