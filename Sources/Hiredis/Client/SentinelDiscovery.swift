// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import NIOPosix
import Synchronization

/// Asks sentinels for the address of their primary.
final class SentinelDiscovery: Sendable {
    private let primaryName: String
    private let connectors: [Connector]
    /// The position of the sentinel that answered last.
    private let first = Atomic(0)

    /// Does no I/O; a sentinel is waited for half as long as a server.
    init(_ sentinels: RedisSentinels, _ servers: RedisConfiguration, logger: Logger) {
        primaryName = sentinels.primaryName
        connectors = sentinels.addresses.map { address in
            var configuration = RedisConfiguration(address: address)
            (configuration.username, configuration.password) = (sentinels.username, sentinels.password)
            (configuration.tls, configuration.clientName) = (sentinels.tls, servers.clientName)
            configuration.connectTimeout = servers.connectTimeout / 2
            configuration.commandTimeout = servers.connectTimeout / 2
            return Connector(configuration, counters: Counters(), library: ScriptLibrary(), logger: logger)
        }
    }

    /// Calls `moved` when a sentinel names another primary than before, until the task is cancelled.
    ///
    /// Asks one sentinel once a second, on one connection. Only a hint, and yet needed: in a failover that an operator
    /// orders, sentinels let the old primary accept writes for seconds more, which are then lost.
    func watch(_ moved: (RedisAddress) -> Void) async {
        while !Task.isCancelled {
            do {
                var last = try await primary()
                let connector = connectors[first.load(ordering: .relaxed)]
                let connection = try await connector.open()
                defer { connection.close() }
                while true {
                    try await Task.sleep(for: .seconds(1))
                    let address = try await primary(by: connector, connection)
                    if let address, address != last { moved(address) }
                    last = address ?? last
                }
            } catch { try? await Task.sleep(for: .seconds(1)) }
        }
    }

    /// Returns the primary that the first sentinel names which answers.
    ///
    /// - Throws: `configuration` when no sentinel that answers knows the name; the error of the last sentinel when
    ///   none answers.
    func primary() async throws(RedisError) -> RedisAddress {
        var failure = RedisError(.configuration, .notSent, "there are no sentinels to ask")
        let first = first.load(ordering: .relaxed)
        for position in connectors.indices.map({ ($0 + first) % connectors.count }) {
            do throws(RedisError) {
                let connection = try await connectors[position].open()
                defer { connection.close() }
                guard let address = try await primary(by: connectors[position], connection) else {
                    failure = RedisError(
                        .configuration,
                        .notSent,
                        "the sentinels do not know the primary's name"
                    )
                    continue
                }
                self.first.store(position, ordering: .relaxed)
                return address
            } catch {
                // An unknown name is told rather than a sentinel that is down.
                if failure.code != .configuration || position == first { failure = error }
            }
        }
        failure.outcome = .notSent
        throw failure
    }

    /// Returns the primary that one sentinel names; nil when it does not know the name.
    private func primary(by sentinel: Connector, _ connection: ConnectionRef) async throws(RedisError)
        -> RedisAddress?
    {
        let question = RedisCommand("SENTINEL", "get-master-addr-by-name", primaryName)
        let reply = try await sentinel.ask(question, connection)
        if reply.isNull { return nil }
        guard reply.count == 2, let host = reply[0].string, let port = reply[1].integer,
            let address = RedisAddress(host: host, port: port, announcedBy: sentinel.configuration.address)
        else { throw RedisError(.protocol, .notSent, "a sentinel names no address") }
        return address
    }
}

extension Connector {
    /// Opens a connection for questions about other servers.
    func open() async throws(RedisError) -> ConnectionRef {
        do {
            let eventLoop = MultiThreadedEventLoopGroup.singleton.next()
            return try await connect(on: eventLoop, for: .dedicated).get()
        } catch { throw RedisError(transport: error) }
    }

    /// Sends a command that only reads and returns its reply.
    func ask(_ command: RedisCommand, _ connection: ConnectionRef) async throws(RedisError) -> RedisReply {
        let deadline = NIODeadline.now() + TimeAmount(configuration.commandTimeout)
        return try await RedisDedicatedConnection(connection, self)
            .reply(to: command, SendOptions(deadline: deadline, cancellation: .ignore))
    }
}
