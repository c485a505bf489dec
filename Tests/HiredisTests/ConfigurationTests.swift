// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Hiredis

/// URLs, and the absence of the password in descriptions.
@Suite struct ConfigurationTests {
    @Test(arguments: [
        ("redis://localhost", "localhost:6379 0 - -"),
        ("redis://h:1/2", "h:1 2 - -"),
        ("REDIS://:pw@h", "h:6379 0 - pw"),
        ("redis://user:p%40%3A%2Fw%20@h:7000/15", "h:7000 15 user p@:/w "),
        ("redis://user:a@b:c@h", "h:6379 0 user a@b:c"),
        ("redis://[::1]:7", "::1:7 0 - -"),
        ("redis://[fe80::1]/3", "fe80::1:6379 3 - -"),
        ("rediss://h/", "h:6379 0 - - tls"),
        ("unix:///run/redis.sock", "/run/redis.sock 0 - -"),
        ("unix://u:p@/run/my%20redis?db=4", "/run/my redis 4 u p"),
        ("redis-cluster://h", "h:6379 0 - - cluster h:6379"),
        ("rediss-cluster://u:p@h:1,[::1]:2,g/", "h:1 0 u p tls cluster h:1 ::1:2 g:6379"),
        ("redis-sentinel://h/main", "h:26379 0 - - sentinel main h:26379"),
        ("rediss-sentinel://:p@h:1,g:2/my%20main/3", "h:1 3 - p tls sentinel my main tls h:1 g:2"),
    ])
    func `a URL is parsed into address, database and credentials`(_ url: String, _ meaning: String) throws {
        let configuration = try RedisConfiguration(url: url)
        let address =
            switch configuration.address {
            case .tcp(let host, let port): "\(host):\(port)"
            case .unix(let path): path
            }
        let login = "\(configuration.username ?? "-") \(configuration.password ?? "-")"
        let topology =
            switch configuration.topology {
            case .standalone: ""
            case .cluster(let seeds): " cluster \(seeds.map(\.description).joined(separator: " "))"
            case .sentinel(let all):
                " sentinel \(all.primaryName)\(all.tls == nil ? "" : " tls") "
                    + all.addresses.map(\.description).joined(separator: " ")
            }
        let tls = configuration.tls == nil ? "" : " tls"
        #expect("\(address) \(configuration.database) \(login)\(tls)\(topology)" == meaning)
    }

    @Test(arguments: [
        "", "localhost:6379", "http://h", "redis://", "redis://:secret@", "redis://h:0", "redis://h:65536",
        "redis://h:12x",
        "redis://h:", "redis://h/x", "redis://h/-1", "redis://h/1/2", "redis://secret@h", "redis://u:%zz@h",
        "redis://u:%4@h",
        "redis://u:%+1@h", "redis://u:%ff@h", "redis://h?db=1", "redis://[::1", "redis://[::1]x", "unix://",
        "unix://host/path",
        "unix:///p?database=1", "unix:///p?db=-1", "redis-cluster://", "redis-cluster://h,",
        "redis-cluster://:secret@h:0", "redis-cluster://h:1,:2", "redis-cluster://h/1",
        "redis-cluster://h?db=1",
        "redis-sentinel://h", "redis-sentinel://:secret@h/", "redis-sentinel://h/m/x",
        "redis-sentinel://h/m?db=1",
        "redis-sentinel://h/%zz", "redis-sentinel:///m",
    ])
    func `a malformed URL is refused without quoting it`(_ url: String) {
        let error = #expect(throws: RedisError.self) { try RedisConfiguration(url: url) }
        #expect(error?.code == .configuration)
        #expect(error?.description.contains("secret") == false)
    }

    @Test(arguments: [
        "redis://:s3/cret@h", "redis://u:s3?cret@h", "rediss://u:s3#c/ret@h:1/2", "redis://:s3@c/ret@h",
        "REDIS://s3/c:ret@h",
    ]) func `a password that is not percent-encoded is told as such`(_ url: String) {
        let error = #expect(throws: RedisError.self) { try RedisConfiguration(url: url) }
        #expect(error?.code == .configuration)
        #expect(error?.description.contains("percent-encoded") == true)
        #expect(error?.description.contains("s3") == false)
    }

    @Test func `a # of a password is taken as it is`() throws {
        #expect(try RedisConfiguration(url: "redis://u:p#w@h").password == "p#w")
    }

    @Test(arguments: ["redis:/127.0.0.1", "redis:127.0.0.1", "127.0.0.1", "localhost:6379", ""])
    func `a URL without :// is told how it must begin`(_ url: String) {
        let error = #expect(throws: RedisError.self) { try RedisConfiguration(url: url) }
        #expect(error?.description.contains("redis://") == true)
    }

    @Test func `nothing prints the password`() throws {
        let configuration = try RedisConfiguration(url: "redis://name:hunter2@h/1")
        var text = "\(configuration) \(String(reflecting: configuration)) \(RedisClient(configuration))"
        dump(configuration, to: &text)
        dump(RedisClient(configuration), to: &text, maxDepth: 4)
        var sentinels = RedisSentinels(addresses: [.tcp(host: "s", port: 1)], primaryName: "main")
        (sentinels.username, sentinels.password) = ("name", "hunter2")
        var watched = RedisConfiguration(sentinels: sentinels)
        watched.password = "hunter2"
        text += "\(watched) \(String(reflecting: watched.topology)) \(RedisClient(watched))"
        dump(watched, to: &text)
        dump(watched.topology, to: &text)
        dump(RedisClient(watched), to: &text, maxDepth: 4)
        let cluster = try RedisConfiguration(url: "redis-cluster://name:hunter2@h:1,g:2")
        dump(RedisClient(cluster), to: &text, maxDepth: 4)
        #expect("\(cluster)".contains("g:2"))
        #expect(!text.contains("hunter2"))
        #expect(text.contains("h:6379"))
    }

    @Test func `numbers are kept within bounds`() {
        var configuration = RedisConfiguration(address: .unix(path: "/x"))
        configuration.dedicatedConnections = 0
        #expect(configuration.dedicatedConnections == 1)
        configuration.replyBytes = 0
        #expect(configuration.replyBytes == 1024)
        configuration.replyBytes = .max
        #expect(configuration.replyBytes == 1 << 30)
    }
}
