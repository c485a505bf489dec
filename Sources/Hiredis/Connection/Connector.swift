// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization

/// What else wants to know of one node of a cluster.
protocol NodeObserver: AnyObject, Sendable {
    /// A connection to the node was lost, or could not be made.
    func unreachable(_ node: RedisAddress)
    /// The node has sent a command elsewhere whose reply is ignored.
    func redirected(_ command: RedisCommand, _ error: RedisError, by node: RedisAddress)
}

/// Makes connections that are ready for commands: credentials, TCP or unix socket, TLS, login.
///
/// Host name, TLS files and credentials are looked up anew each time, and the primary where sentinels know it.
final class Connector: Sendable {
    /// The purpose of a connection.
    enum Purpose { case reads, shared, dedicated }

    /// The limit for the application's function that returns credentials.
    private static let credentialsTimeout = TimeAmount.seconds(10)
    /// The system gives up a connection whose peer does not acknowledge what was sent, in milliseconds.
    private static let userTimeout = 10_000
    /// Between questions to the sentinels while the server that they name is no primary.
    private static let pause = TimeAmount.milliseconds(100)

    let configuration: RedisConfiguration
    let counters: Counters
    let library: ScriptLibrary
    let peers = ConnectionPeers()
    /// Present for a node of a cluster; refers to the connector, too, until the node is closed.
    let observer: (any NodeObserver)?
    private let findPrimary: PrimaryFinder?
    private let isReplica: Bool
    /// The server that the one before has named as the primary.
    private let named = Mutex<RedisAddress?>(nil)
    private let last = Mutex<RedisAddress?>(nil)
    private let logger: Logger
    /// Since when callers fail; zero while a connection can be made.
    private let unavailableSince = Atomic<UInt64>(0)
    private let changes = Atomic(0)

    typealias PrimaryFinder = @Sendable () async throws(RedisError) -> RedisAddress

    /// Creates a connector; with `findPrimary`, to the server that it returns if that says it is a primary; with
    /// `isReplica`, to a server that is to answer reads although it is none.
    init(
        _ configuration: RedisConfiguration,
        counters: Counters,
        library: ScriptLibrary,
        logger: Logger,
        observer: (any NodeObserver)? = nil,
        findPrimary: PrimaryFinder? = nil,
        isReplica: Bool = false
    ) {
        self.configuration = configuration
        self.counters = counters
        self.library = library
        self.observer = observer
        self.findPrimary = findPrimary
        self.isReplica = isReplica
        var logger = logger
        logger[metadataKey: "address"] = "\(configuration.address)"
        self.logger = logger
    }

    /// Connects and logs in; the future fails with a `RedisError`.
    ///
    /// While sentinels name a server that is no primary, they are asked again, for as long as connecting may take.
    func connect(on eventLoop: any EventLoop, for purpose: Purpose) -> EventLoopFuture<ConnectionRef> {
        connect(on: eventLoop, for: purpose, until: .now() + TimeAmount(configuration.connectTimeout))
    }

    private func connect(on eventLoop: any EventLoop, for purpose: Purpose, until deadline: NIODeadline)
        -> EventLoopFuture<ConnectionRef>
    {
        logIn(on: eventLoop, for: purpose).flatMapError { [self] error in
            named.withLock { $0 = nil }
            observer?.unreachable(configuration.address)
            guard (error as? RedisError)?.isNotPrimary == true, NIODeadline.now() + Self.pause < deadline
            else {
                return eventLoop.makeFailedFuture(RedisError(transport: error))
            }
            return eventLoop.flatScheduleTask(in: Self.pause) { [self] in
                connect(on: eventLoop, for: purpose, until: deadline)
            }.futureResult
        }
    }

    /// A peer that closes the connection during the login may be a proxy that does not know `CLIENT` or
    /// `SCRIPT`: tried once more without them, and if that works, they are not sent again.
    private func logIn(on eventLoop: any EventLoop, for purpose: Purpose) -> EventLoopFuture<ConnectionRef> {
        let isBrief = library.isRefused
        return attempt(on: eventLoop, for: purpose, isBrief: isBrief)
            .flatMapError { [self] error in
                guard error is ClosedDuringHandshake else { return eventLoop.makeFailedFuture(error) }
                return attempt(on: eventLoop, for: purpose, isBrief: true).map { [self] connection in
                    library.refused()
                    logger.notice("a proxy does not pass CLIENT or SCRIPT; connecting without them")
                    return connection
                }
            }
    }

    private func attempt(on eventLoop: any EventLoop, for purpose: Purpose, isBrief: Bool)
        -> EventLoopFuture<ConnectionRef>
    {
        let secrets = credentials(on: eventLoop).and(context(on: eventLoop))
        return secrets.and(address(on: eventLoop)).flatMap { [self] secrets, address in
            let (credentials, context) = secrets
            last.withLock { $0 = address }
            let handshake = Handshake(
                configuration,
                credentials,
                scripts: purpose == .reads ? [] : library.loads,
                isBrief: isBrief,
                needsPrimary: findPrimary != nil,
                isReplica: isReplica
            )
            return open(address, context, on: eventLoop).flatMap { [self] channel in
                let ready = eventLoop.makePromise(of: Void.self)
                let handler = ConnectionHandler(
                    configuration,
                    handshake,
                    counters: counters,
                    isDedicated: purpose == .dedicated,
                    ready: ready
                )
                let connection = ConnectionRef(
                    channel: channel,
                    handler: NIOLoopBound(handler, eventLoop: eventLoop)
                )
                if purpose == .dedicated { peers.opened(connection) }
                do { try channel.pipeline.syncOperations.addHandler(handler) } catch { ready.fail(error) }
                return ready.futureResult.map { connection }
            }
        }
    }

    private func credentials(on eventLoop: any EventLoop) -> EventLoopFuture<RedisCredentials?> {
        guard let provide = configuration.credentials else {
            let (username, password) = (configuration.username, configuration.password)
            return eventLoop.makeSucceededFuture(
                password.map { RedisCredentials(username: username, password: $0) }
            )
        }
        let promise = eventLoop.makePromise(of: RedisCredentials?.self)
        let asking = Task {
            do { promise.succeed(try await provide()) } catch {
                promise.fail(RedisError(.authentication, .notSent, "the credentials could not be obtained"))
            }
        }
        let timer = eventLoop.scheduleTask(in: Self.credentialsTimeout) {
            asking.cancel()
            promise.fail(RedisError(.authentication, .notSent, "the credentials were not obtained in time"))
        }
        promise.futureResult.whenComplete { _ in timer.cancel() }
        return promise.futureResult
    }

    private func address(on eventLoop: any EventLoop) -> EventLoopFuture<RedisAddress> {
        if let named = named.withLock(\.self) { return eventLoop.makeSucceededFuture(named) }
        guard let findPrimary else { return eventLoop.makeSucceededFuture(configuration.address) }
        return eventLoop.makeFutureWithTask { try await findPrimary() }
    }

    /// The address to which the last attempt to connect led.
    var lastAddress: RedisAddress? { last.withLock(\.self) }

    /// Notes that the server is the wrong one, and the primary that a replica has named (`REDIRECT`).
    ///
    /// The next connections lead there. When one of them fails, the next attempt uses the configuration again.
    func refused(_ error: RedisError) {
        let text = error.prefix == "REDIRECT" ? error.serverMessage?.dropFirst("REDIRECT ".count) : nil
        let address = text.flatMap { RedisAddress($0, announcedBy: configuration.address) }
        named.withLock { $0 = observer == nil ? address : nil }
    }

    private func context(on eventLoop: any EventLoop) -> EventLoopFuture<NIOSSLContext?> {
        guard let tls = configuration.tls else { return eventLoop.makeSucceededFuture(nil) }
        // Reads files.
        return NIOThreadPool.singleton.runIfActive(eventLoop: eventLoop) { try tls.context() }
    }

    private func open(_ address: RedisAddress, _ context: NIOSSLContext?, on eventLoop: any EventLoop)
        -> EventLoopFuture<any Channel>
    {
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
            return Self.keepAlive(bootstrap)
                .channelOption(.tcpOption(.tcp_nodelay), value: 1)
                .connect(host: host, port: port)
        }
    }

    /// Makes the system notice a peer that is gone, in addition to the heartbeat: also on dedicated connections
    /// that wait for a reply.
    private static func keepAlive(_ bootstrap: ClientBootstrap) -> ClientBootstrap {
        let bootstrap = bootstrap.channelOption(.socketOption(.so_keepalive), value: 1)
        #if os(Linux)
            // TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT and TCP_USER_TIMEOUT of <linux/tcp.h>.
            let options: [(name: CInt, value: Int)] = [(4, 30), (5, 10), (6, 3), (18, userTimeout)]
            return options.reduce(bootstrap) {
                $0.channelOption(.tcpOption(.init(rawValue: $1.name)), value: $1.value)
            }
        #else
            return bootstrap
        #endif
    }

    /// How often shared connections have been made, before their first command, or lost.
    var connectionChanges: Int { changes.load(ordering: .acquiring) }
    /// Whether callers have failed at once for so long.
    func isUnavailable(for time: TimeAmount) -> Bool {
        let since = unavailableSince.load(ordering: .relaxed)
        return since != 0 && .now() - .uptimeNanoseconds(since) >= time
    }

    // MARK: Log

    private var name: String { isReplica ? "A replica of Redis" : "Redis" }

    /// Logs that callers fail now; once until `succeeded()`.
    func failed(_ error: RedisError) {
        let now = NIODeadline.now().uptimeNanoseconds
        guard unavailableSince.compareExchange(expected: 0, desired: now, ordering: .relaxed).exchanged else {
            return
        }
        logger.warning("\(name) is unavailable", metadata: ["error": "\(error)"])
    }

    /// Logs that Redis is available again, if it was not.
    func succeeded() {
        changes.add()
        logger.debug("connected to Redis")
        guard unavailableSince.exchange(0, ordering: .relaxed) != 0 else { return }
        logger.notice("\(name) is available again")
    }

    /// Logs that a connection was closed or given up.
    func lost(_ error: RedisError) {
        changes.add()
        logger.info("lost a connection to Redis", metadata: ["error": "\(error)"])
        observer?.unreachable(configuration.address)
    }

    /// Logs that connections are replaced because the server does not serve this client; at `debug` while
    /// that goes on.
    func replaced(_ error: RedisError, isFirst: Bool) {
        logger.log(
            level: isFirst ? .notice : .debug,
            "Redis refuses commands; connecting anew",
            metadata: ["error": "\(error)"]
        )
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
