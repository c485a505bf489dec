// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOPosix
import NIOSSL

/// Makes connections that are ready for commands: TCP or unix socket, TLS, login.
final class Connector: Sendable {
    let configuration: RedisConfiguration
    let counters: Counters
    let library: ScriptLibrary
    private let tls: Result<NIOSSLContext?, RedisError>

    /// Creates a connector; reads the TLS files.
    init(_ configuration: RedisConfiguration, counters: Counters, library: ScriptLibrary) {
        self.configuration = configuration
        self.counters = counters
        self.library = library
        tls = Result { () throws(RedisError) in try configuration.tls?.context() }
    }

    /// Connects and logs in; the future fails with a `RedisError`.
    func connect(on eventLoop: any EventLoop, isDedicated: Bool) -> EventLoopFuture<ConnectionRef> {
        let context: NIOSSLContext?
        switch tls {
        case .success(let loaded): context = loaded
        case .failure(let error): return eventLoop.makeFailedFuture(error)
        }
        return open(context, on: eventLoop)
            .flatMap { [self] channel in
                let ready = eventLoop.makePromise(of: Void.self)
                let handler = ConnectionHandler(
                    configuration,
                    counters: counters,
                    scripts: library.loads,
                    isDedicated: isDedicated,
                    ready: ready
                )
                let connection = ConnectionRef(
                    channel: channel,
                    handler: NIOLoopBound(handler, eventLoop: eventLoop)
                )
                do { try channel.pipeline.syncOperations.addHandler(handler) } catch { ready.fail(error) }
                return ready.futureResult.map { connection }
            }
            .flatMapErrorThrowing { throw RedisError(transport: $0) }
    }

    private func open(_ context: NIOSSLContext?, on eventLoop: any EventLoop) -> EventLoopFuture<any Channel>
    {
        let address = configuration.address
        let bootstrap = ClientBootstrap(group: eventLoop)
            .connectTimeout(TimeAmount(configuration.connectTimeout))
            .channelInitializer { [tls = configuration.tls] channel in
                guard let context else { return channel.eventLoop.makeSucceededVoidFuture() }
                return channel.eventLoop.makeCompletedFuture {
                    // Without a name, the IP address is verified against those in the certificate.
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
}

extension RedisAddress {
    /// The host when it is a name; nil for an IP address, which TLS does not accept as a name.
    fileprivate var hostName: String? {
        guard case .tcp(let host, _) = self, (try? SocketAddress(ipAddress: host, port: 0)) == nil else {
            return nil
        }
        return host
    }
}
