// SPDX-License-Identifier: Apache-2.0

import NIOSSL

/// The certificates of a TLS connection, which uses TLS 1.2 or later.
///
/// The server's certificate and host name are always verified. The files are read anew for each connection, so
/// that replaced certificates need no restart. While a file cannot be read, attempts to connect fail with
/// `configuration`; connections that exist are not affected.
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
        configuration.minimumTLSVersion = .tlsv12
        if let caFile {
            let authorities = try Self.read(caFile, "CA file") { try NIOSSLCertificate.fromPEMFile($0) }
            configuration.trustRoots = .certificates(authorities)
        }
        if let certificateFile {
            let chain = try Self.read(certificateFile, "certificate file") {
                try NIOSSLCertificate.fromPEMFile($0)
            }
            configuration.certificateChain = chain.map { .certificate($0) }
        }
        if let keyFile {
            let key = try Self.read(keyFile, "key file") { try NIOSSLPrivateKey(file: $0, format: .pem) }
            configuration.privateKey = .privateKey(key)
        }
        do { return try NIOSSLContext(configuration: configuration) } catch {
            throw RedisError(.configuration, .notSent, "TLS certificate and key do not match")
        }
    }

    private static func read<Value>(_ path: String, _ kind: String, _ body: (String) throws -> Value)
        throws(RedisError) -> Value
    {
        do { return try body(path) } catch {
            throw RedisError(.configuration, .notSent, "the TLS \(kind) \(path) cannot be read")
        }
    }
}
