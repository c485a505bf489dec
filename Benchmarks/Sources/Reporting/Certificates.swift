// SPDX-License-Identifier: Apache-2.0

package import Foundation
import TestSupport

/// An authority and a certificate for 127.0.0.1, made for one run.
package enum Certificates {
    /// Returns a folder with `ca.crt`, `server.crt` and `server.key`.
    package static func make(in parent: URL) async throws -> URL {
        let folder = parent.appending(path: "certificates")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        let authority = ["-keyout", "ca.key", "-out", "ca.crt", "-days", "2", "-subj", "/CN=Benchmark CA"]
        try await run("openssl", ["req", "-x509"] + key + authority, directory: folder)
        let request = ["-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=redis"]
        try await run("openssl", ["req"] + key + request, directory: folder)
        try Data("subjectAltName=IP:127.0.0.1".utf8).write(to: folder.appending(path: "server.ext"))
        let sign = [
            "x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
        ]
        try await run(
            "openssl",
            sign + ["-days", "2", "-out", "server.crt", "-extfile", "server.ext"],
            directory: folder
        )
        return folder
    }
}
