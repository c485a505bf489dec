// SPDX-License-Identifier: Apache-2.0

import Foundation
import Hiredis
import TestSupport
import Testing

/// `rediss://` against a real Redis with certificates made for the test.
@Suite(.limited) struct TLSTests {
    private func client(_ host: String, _ server: RedisServer, _ tls: RedisTLS) throws -> RedisClient {
        var configuration = try RedisConfiguration(url: "rediss://\(host):\(try #require(server.tlsPort))")
        configuration.tls = tls
        return RedisClient(configuration)
    }

    private func outcome(_ redis: RedisClient) async -> RedisError.Code? {
        var code: RedisError.Code?
        do throws(RedisError) { _ = try await redis.send(RedisCommand("SET", "k", "v")) } catch {
            code = error.code
        }
        await redis.shutdown()
        return code
    }

    @Test func `certificate and host name are verified`() async throws {
        let folder = try await certificates(for: "DNS:localhost,IP:127.0.0.1")
        defer { removeTemporaryFolder(folder) }
        let server = try await RedisServer(["--tls-auth-clients", "no"], tls: folder)
        let trusted = RedisTLS(caFile: folder.appending(path: "ca.crt").path)
        #expect(await outcome(try client("localhost", server, trusted)) == nil)
        #expect(await outcome(try client("127.0.0.1", server, trusted)) == nil)
        // The system does not trust the authority.
        #expect(await outcome(try client("localhost", server, RedisTLS())) == .tls)
        #expect(
            await outcome(try client("localhost", server, RedisTLS(caFile: "/nowhere/ca.crt")))
                == .configuration
        )
        // Plain text to a TLS port and TLS to a plain port.
        let plain = RedisClient(
            try RedisConfiguration(url: "redis://localhost:\(try #require(server.tlsPort))")
        )
        #expect(await outcome(plain) != nil)
        var wrongPort = try RedisConfiguration(url: "rediss://localhost:\(server.port)")
        wrongPort.tls = trusted
        #expect(await outcome(RedisClient(wrongPort)) != nil)
    }

    @Test(arguments: ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"])
    func `nothing older than TLS 1.2 is spoken`(version: String) async throws {
        let folder = try await certificates(for: "DNS:localhost")
        defer { removeTemporaryFolder(folder) }
        let server = try await RedisServer(
            ["--tls-auth-clients", "no", "--tls-protocols", version, "--tls-ciphers", "ALL:@SECLEVEL=0"],
            tls: folder
        )
        let trusted = RedisTLS(caFile: folder.appending(path: "ca.crt").path)
        let outcome = await outcome(try client("localhost", server, trusted))
        #expect(outcome == (version < "TLSv1.2" ? .tls : nil))
    }

    @Test func `files are read anew at each connect`() async throws {
        let folder = try await certificates(for: "DNS:localhost")
        let later = try await certificates(for: "DNS:localhost")
        defer { for folder in [folder, later] { removeTemporaryFolder(folder) } }
        let server = try await RedisServer(["--tls-auth-clients", "yes"], tls: folder)
        let files = try await certificates(for: "DNS:unused")
        defer { removeTemporaryFolder(files) }
        func install(_ names: [String], from source: URL) throws {
            for name in names {
                let target = files.appending(path: name)
                try? FileManager.default.removeItem(at: target)
                try FileManager.default.copyItem(at: source.appending(path: name), to: target)
            }
        }
        try install(["ca.crt", "client.crt", "client.key"], from: folder)
        let redis = try client(
            "localhost",
            server,
            RedisTLS(
                caFile: files.appending(path: "ca.crt").path,
                certificateFile: files.appending(path: "client.crt").path,
                keyFile: files.appending(path: "client.key").path
            )
        )
        let ping = RedisCommand("PING", readOnly: true)
        _ = try await redis.send(ping)
        // A new authority, on the server and in the files.
        try await server.admin("CONFIG", "SET", "tls-ca-cert-file", later.appending(path: "ca.crt").path)
        try await server.admin(
            "CONFIG",
            "SET",
            "tls-cert-file",
            later.appending(path: "server.crt").path,
            "tls-key-file",
            later.appending(path: "server.key").path
        )
        try install(["ca.crt", "client.crt", "client.key"], from: later)
        try await server.admin("CLIENT", "KILL", "TYPE", "normal")
        #expect(await poll(seconds: 20) { (try? await redis.send(ping)) != nil })
        // A broken file is told by its name, and heals.
        try Data("nonsense".utf8).write(to: files.appending(path: "ca.crt"))
        try await server.admin("CLIENT", "KILL", "TYPE", "normal")
        #expect(
            await poll(seconds: 20) {
                do throws(RedisError) { _ = try await redis.send(ping) } catch {
                    return error.code == .configuration && error.description.contains("ca.crt")
                }
                return false
            }
        )
        try install(["ca.crt"], from: later)
        #expect(await poll(seconds: 20) { (try? await redis.send(ping)) != nil })
        await redis.shutdown()
    }

    @Test func `a certificate for another host is refused`() async throws {
        let folder = try await certificates(for: "DNS:other.example,IP:127.0.0.9")
        defer { removeTemporaryFolder(folder) }
        let server = try await RedisServer(["--tls-auth-clients", "no"], tls: folder)
        var tls = RedisTLS(caFile: folder.appending(path: "ca.crt").path)
        #expect(await outcome(try client("localhost", server, tls)) == .tls)
        #expect(await outcome(try client("127.0.0.1", server, tls)) == .tls)
        tls.serverName = "elsewhere.example"
        #expect(await outcome(try client("127.0.0.1", server, tls)) == .tls)
        tls.serverName = "other.example"
        #expect(await outcome(try client("127.0.0.1", server, tls)) == nil)
    }

    @Test func `a client certificate is sent to a server that requests one`() async throws {
        let folder = try await certificates(for: "DNS:localhost")
        defer { removeTemporaryFolder(folder) }
        let server = try await RedisServer(["--tls-auth-clients", "yes"], tls: folder)
        var tls = RedisTLS(caFile: folder.appending(path: "ca.crt").path)
        #expect(await outcome(try client("localhost", server, tls)) == .tls)
        tls.certificateFile = folder.appending(path: "client.crt").path
        tls.keyFile = folder.appending(path: "client.key").path
        let redis = try client("localhost", server, tls)
        let value = String(repeating: "x", count: 500_000)
        _ = try await redis.send(RedisCommand("SET", "k", value))
        let reply = try await redis.send(RedisCommand("GET", "k"))
        #expect(reply.string == value)
        await redis.shutdown()
    }
}
