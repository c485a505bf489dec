// SPDX-License-Identifier: Apache-2.0

public import Foundation

/// Makes a folder with an authority, a server certificate and a client certificate, and their keys.
///
/// - Parameter names: the server's, as OpenSSL writes them: `DNS:localhost,IP:127.0.0.1`.
/// - Returns: the folder, with `ca`, `server` and `client`, each `.crt` and `.key`.
/// - Throws: `ChildProcess.Failure` of `openssl`, and errors of the file system.
public func certificates(for names: String) async throws -> URL {
    let folder = try makeTemporaryFolder("tls")
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    try await run(
        "openssl",
        ["req", "-x509"] + key + [
            "-keyout", "ca.key", "-out", "ca.crt", "-days", "2", "-subj", "/CN=Test CA",
        ],
        directory: folder
    )
    for (file, subject, extensions) in [
        ("server", "/CN=redis", "subjectAltName=\(names)"),
        ("client", "/CN=app", "subjectAltName=DNS:app"),
    ] {
        try await run(
            "openssl",
            ["req"] + key + ["-keyout", "\(file).key", "-out", "\(file).csr", "-subj", subject],
            directory: folder
        )
        try Data(extensions.utf8).write(to: folder.appending(path: "\(file).ext"))
        let sign = [
            "x509", "-req", "-in", "\(file).csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
            "-days", "2",
        ]
        try await run(
            "openssl",
            sign + ["-out", "\(file).crt", "-extfile", "\(file).ext"],
            directory: folder
        )
    }
    return folder
}
