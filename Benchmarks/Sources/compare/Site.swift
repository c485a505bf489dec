// SPDX-License-Identifier: Apache-2.0

import TestSupport

/// What visitors talk to: the balancer, or one instance when the question is what that one knows.
struct Site: Listener {
    let port: Int

    /// Sends one request and reads the whole answer.
    ///
    /// - Parameters:
    ///   - method: the method.
    ///   - path: the path and the query.
    ///   - browser: whose cookies go along, and who takes in those of the answer.
    ///   - cookies: a `Cookie` field that takes the place of the browser's; nil for the browser's.
    /// - Returns: the answer.
    /// - Throws: what `Browser.send` throws; nothing is sent twice.
    func send(
        _ method: String,
        _ path: String,
        by browser: Browser,
        cookies: String? = nil
    ) async throws -> Reply {
        try await browser.send(method, path, on: self, cookies: cookies.map { [$0] } ?? [])
    }
}

extension Reply {
    /// The number of the instance that answered; 0 when none did.
    ///
    /// The instances are named 1, 2, 3, ….
    var instance: Int { self["x-instance"].flatMap { Int($0) } ?? 0 }
}
