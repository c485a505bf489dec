// SPDX-License-Identifier: Apache-2.0

import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import SessionsTesting

/// What visitors talk to: the balancer, or one instance when somebody wants to know what that one knows.
struct Site: Sendable {
    /// What came back, as far as anybody looks at it.
    struct Answer: Sendable {
        var status: Int
        var instance: Int
        var setCookies: [String]
        var body: ByteBuffer
    }

    let client: HTTPClient
    let port: Int
    let timeoutSeconds: Int64

    /// Every visitor believes to be on HTTPS, as behind a proxy that ends TLS: the cookies are those of
    /// production.
    static let location = CookieJar.Location(host: "127.0.0.1", isSecure: true)

    /// The same client, another port.
    func at(port: Int) -> Site { Site(client: client, port: port, timeoutSeconds: timeoutSeconds) }

    /// Sends one request and reads the whole answer.
    func send(_ method: HTTPMethod, _ path: String, cookies: String?) async throws -> Answer {
        var request = HTTPClientRequest(url: "http://127.0.0.1:\(port)\(path)")
        request.method = method
        if let cookies { request.headers.add(name: "cookie", value: cookies) }
        let response = try await client.execute(request, timeout: .seconds(timeoutSeconds))
        let body = try await response.body.collect(upTo: 1 << 20)
        // The instances are named 1, 2, 3, ….
        let instance = response.headers.first(name: "x-instance").flatMap(Int.init) ?? 0
        return Answer(
            status: Int(response.status.code),
            instance: instance,
            setCookies: response.headers["set-cookie"],
            body: body
        )
    }

    /// A client for this many visitors at the same time, without any retry of its own.
    static func client(connections: Int) -> HTTPClient {
        var configuration = HTTPClient.Configuration()
        configuration.httpVersion = .http1Only
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = connections
        configuration.connectionPool.idleTimeout = .seconds(10)
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.timeout.connect = .seconds(2)
        configuration.redirectConfiguration = .disallow
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }
}
