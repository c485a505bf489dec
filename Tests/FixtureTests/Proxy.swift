// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// An nginx in front of one instance, with every setting that has a default left at it.
final class Proxy: Listener {
    let port: Int
    private let folder: URL
    private let child: ChildProcess

    init(before app: any Listener) async throws {
        port = try freePort()
        folder = try makeTemporaryFolder("proxy")
        let folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map { "\($0)_temp_path \($0);" }
            .joined(separator: " ")
        try """
        daemon off; pid nginx.pid; error_log stderr notice; events {}
        http {
            access_log off; \(folders)
            server { listen 127.0.0.1:\(port); location / { proxy_pass http://127.0.0.1:\(app.port); } }
        }
        """.write(to: folder.appending(path: "main.conf"), atomically: false, encoding: .utf8)
        child = try ChildProcess(
            "nginx",
            ["-p", folder.path + "/", "-c", "main.conf", "-e", "stderr"]
        )
        let isUp = await poll(seconds: 20, every: .milliseconds(20)) {
            (try? await Browser().get("/healthz", on: self).status) == 200
        }
        guard isUp else { throw Balancer.Failure(description: "nginx does not serve:\n\(child.text)") }
    }

    deinit { removeTemporaryFolder(folder) }

    func stop() async { await child.stop(SIGTERM) }
}
