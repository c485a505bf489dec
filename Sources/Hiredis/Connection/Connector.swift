// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import NIOPosix
import NIOSSL

/// A connection that has logged in: what other threads hold of it.
struct Link: Sendable {
    let channel: any Channel
    let handler: NIOLoopBound<ConnectionHandler>
}

/// Makes connections that are ready for commands: address, TCP or unix socket, TLS, login.
///
/// The address is asked for anew at each attempt: a source that asks a sentinel, or the nodes of a cluster,
/// goes there.
final class Connector: Sendable {
    typealias AddressSource = @Sendable (any EventLoop) -> EventLoopFuture<RedisAddress>

    let configuration: RedisConfiguration
    let counters: Counters
    let library: ScriptLibrary
    private let source: AddressSource
    private let tls: Result<NIOSSLContext?, RedisError>

    init(
        _ configuration: RedisConfiguration,
        counters: Counters,
        library: ScriptLibrary,
        source: AddressSource? = nil
    ) {
        self.configuration = configuration
        self.counters = counters
        self.library = library
        self.source = source ?? { $0.makeSucceededFuture(configuration.address) }
        tls = Result { () throws(RedisError) in try configuration.tls?.context() }
    }

    /// Connects and logs in; the future fails with a `RedisError`.
    func connect(on eventLoop: any EventLoop, isDedicated: Bool) -> EventLoopFuture<Link> {
        let context: NIOSSLContext?
        switch tls {
        case .success(let made): context = made
        case .failure(let error): return eventLoop.makeFailedFuture(error)
        }
        return source(eventLoop).hop(to: eventLoop)
            .flatMap { [self] in open($0, context, on: eventLoop) }
            .flatMap { [self] channel in
                let ready = eventLoop.makePromise(of: Void.self)
                let handler = ConnectionHandler(self, isDedicated: isDedicated, ready: ready)
                let link = Link(channel: channel, handler: NIOLoopBound(handler, eventLoop: eventLoop))
                do { try channel.pipeline.syncOperations.addHandler(handler) } catch { ready.fail(error) }
                return ready.futureResult.map { link }
            }
            .flatMapErrorThrowing { throw Self.error($0) }
    }

    private func open(_ address: RedisAddress, _ context: NIOSSLContext?, on eventLoop: any EventLoop)
        -> EventLoopFuture<any Channel>
    {
        let bootstrap = ClientBootstrap(group: eventLoop)
            .connectTimeout(TimeAmount(configuration.connectTimeout))
            .channelInitializer { [tls = configuration.tls] channel in
                guard let context else { return channel.eventLoop.makeSucceededVoidFuture() }
                return channel.eventLoop.makeCompletedFuture {
                    // An IP address is verified against the addresses in the certificate when no name is
                    // given.
                    let name = tls?.serverName ?? address.hostName
                    try channel.pipeline.syncOperations.addHandler(
                        NIOSSLClientHandler(context: context, serverHostname: name)
                    )
                }
            }
        switch address {
        case .unix(let path): return bootstrap.connect(unixDomainSocketPath: path)
        case .tcp(let host, let port):
            return
                bootstrap
                .channelOption(.socketOption(.so_keepalive), value: 1)
                .channelOption(.tcpOption(.tcp_nodelay), value: 1)
                .connect(host: host, port: port)
        }
    }

    /// The error of this module for one of the transport; quotes nothing the peer said.
    static func error(_ error: any Error) -> RedisError {
        switch error {
        case let error as RedisError: error
        case NIOSSLError.uncleanShutdown: RedisError(.connection, .unknown, "Redis closed the connection")
        case let error as NIOSSLExtraError where error == .failedToValidateHostname:
            RedisError(.tls, .notSent, "the certificate of the server is for another name")
        case is NIOSSLError, is NIOSSLExtraError, is BoringSSLError:
            RedisError(
                .tls,
                .notSent,
                "TLS failed: the certificates do not match, or the server speaks no TLS"
            )
        case let error as IOError:
            RedisError(.connection, .unknown, "the connection failed (errno \(error.errnoCode))")
        case let error as NIOConnectionError where !error.connectionErrors.isEmpty:
            Self.error(error.connectionErrors[0].error)
        case ChannelError.connectTimeout:
            RedisError(.connection, .notSent, "Redis could not be reached in time")
        default: RedisError(.connection, .unknown, "Redis cannot be reached")
        }
    }
}

extension RedisAddress {
    /// The host when it is a name; nil for IP addresses, which TLS does not take as names.
    fileprivate var hostName: String? {
        guard case .tcp(let host, _) = self, (try? SocketAddress(ipAddress: host, port: 0)) == nil else {
            return nil
        }
        return host
    }
}

extension RedisTLS {
    /// Reads the files once; certificate and name are always verified.
    fileprivate func context() throws(RedisError) -> NIOSSLContext {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.certificateVerification = .fullVerification
        do {
            if let caFile {
                configuration.trustRoots = .certificates(try NIOSSLCertificate.fromPEMFile(caFile))
            }
            if let certificateFile {
                configuration.certificateChain = try NIOSSLCertificate.fromPEMFile(certificateFile).map {
                    .certificate($0)
                }
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
