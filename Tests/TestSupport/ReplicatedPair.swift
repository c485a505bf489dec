// SPDX-License-Identifier: Apache-2.0

/// A primary and its replica of one test, on loopback, with a proxy on the way from the replica to its primary.
public final class ReplicatedPair: Sendable {
    /// The server that begins as the primary.
    public let primary: RedisServer
    /// Its replica.
    public let replica: RedisServer
    private let link: TCPProxy

    /// Starts both and waits until the primary counts the replica.
    ///
    /// - Parameter arguments: further arguments of both servers.
    /// - Throws: `ChildProcess.Failure` when the replica does not follow.
    public init(_ arguments: [String] = []) async throws {
        let primary = try await RedisServer(arguments + ["--repl-diskless-sync-delay", "0"])
        link = try await TCPProxy(to: primary.port)
        replica = try await RedisServer(arguments + ["--replicaof", "127.0.0.1", "\(link.port)"])
        self.primary = primary
        let follows = await poll(seconds: 20) {
            (try? await primary.admin("INFO", "replication"))?.contains("state=online") == true
        }
        guard follows else { throw ChildProcess.Failure(description: "the replica does not follow") }
    }

    /// Drops what the two send to each other from now on; neither notices for a minute.
    public func cut() { link.forget() }

    /// Leads the replica nowhere when it next connects to its primary.
    public func block() { link.lead(to: 1) }

    /// Leads the replica to its primary again.
    public func unblock() { link.lead(to: primary.port) }

    /// Kills the primary and makes the replica the next one.
    public func failOver() async throws {
        await primary.crash()
        try await replica.admin("REPLICAOF", "NO", "ONE")
    }

    /// Waits until so many clients of the primary wait for the replica.
    public func isWaitedFor(by count: Int = 1) async -> Bool {
        await poll(seconds: 10) {
            (try? await self.primary.admin("INFO", "clients"))?.contains("blocked_clients:\(count)") == true
        }
    }

    /// Ends the proxy.
    public func close() async { await link.close() }
}
