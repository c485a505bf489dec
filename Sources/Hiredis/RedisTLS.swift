// SPDX-License-Identifier: Apache-2.0

import NIOSSL

/// The certificates of a TLS connection.
///
/// The server's certificate and host name are always verified.
public struct RedisTLS: Sendable, Hashable {
    /// A PEM file with the certificate authorities to trust; the system's when nil.
    public var caFile: String?
    /// A PEM file with the client's certificate chain; no client certificate when nil.
    public var certificateFile: String?
    /// A PEM file with the client's private key.
    public var keyFile: String?
    /// The name that the server's certificate must carry; the host of the address when nil.
    ///
    /// swift-nio-ssl also accepts a certificate that lists the IP address of the connection.
    public var serverName: String?

    /// Creates TLS settings; without arguments, the system's certificate authorities are trusted.
    ///
    /// - Parameters:
    ///   - caFile: A PEM file with the certificate authorities to trust.
    ///   - certificateFile: A PEM file with the client's certificate chain.
    ///   - keyFile: A PEM file with the client's private key.
    ///   - serverName: The name that the server's certificate must carry.
    public init(
        caFile: String? = nil,
        certificateFile: String? = nil,
        keyFile: String? = nil,
        serverName: String? = nil
    ) {
        self.caFile = caFile
        self.certificateFile = certificateFile
        self.keyFile = keyFile
        self.serverName = serverName
    }

    /// Reads the files and returns a context that verifies certificate and host name.
    ///
    /// - Throws: `configuration` when a file cannot be read or certificate and key do not match.
    func context() throws(RedisError) -> NIOSSLContext {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.certificateVerification = .fullVerification
        do {
            if let caFile {
                configuration.trustRoots = .certificates(try NIOSSLCertificate.fromPEMFile(caFile))
            }
            if let certificateFile {
                configuration.certificateChain = try NIOSSLCertificate.fromPEMFile(certificateFile)
                    .map { .certificate($0) }
            }
            if let keyFile {
                configuration.privateKey = .privateKey(try NIOSSLPrivateKey(file: keyFile, format: .pem))
            }
            return try NIOSSLContext(configuration: configuration)
        } catch {
            throw RedisError(
                .configuration,
                .notSent,
                "a TLS file cannot be read, or certificate and key do not match"
            )
        }
    }
}
