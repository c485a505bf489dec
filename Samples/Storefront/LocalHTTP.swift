// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOHTTP1
import NIOPosix

/// Sends single requests to a port of this machine, with the cookies that it has got, as a browser does for `localhost`.
struct LocalHTTP: Sendable {
    /// A server's answer.
    struct Answer: Sendable {
        let status: Int
        let instance: String
        let text: String
        let setCookies: [String]
    }

    struct Cut: Error {}

    let port: Int
    var cookies: [String: String] = [:]

    /// Sends a request without a body, and waits for 8 seconds at most.
    func send(_ method: HTTPMethod, _ path: String) async throws -> Answer {
        var headers: HTTPHeaders = ["Host": "localhost:\(port)", "Connection": "close"]
        if method == .POST { headers.add(name: "Content-Length", value: "0") }
        if !cookies.isEmpty {
            headers.add(
                name: "Cookie",
                value: cookies.map { "\($0.key)=\($0.value)" }.joined(separator: "; ")
            )
        }
        let head = HTTPRequestHead(version: .http1_1, method: method, uri: path, headers: headers)
        let connection = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .connectTimeout(.seconds(1))
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHTTPClientHandlers()
                    return try NIOAsyncChannel<HTTPClientResponsePart, HTTPClientRequestPart>(
                        wrappingChannelSynchronously: channel
                    )
                }
            }
        let timer = connection.channel.eventLoop.scheduleTask(in: .seconds(8)) {
            connection.channel.close(promise: nil)
        }
        defer { timer.cancel() }
        return try await connection.executeThenClose { inbound, outbound in
            try await outbound.write(.head(head))
            try await outbound.write(.end(nil))
            var answer: HTTPResponseHead?
            var body = ByteBuffer()
            for try await part in inbound {
                switch part {
                case .head(let head): answer = head
                case .body(var bytes): body.writeBuffer(&bytes)
                case .end:
                    guard let answer else { throw Cut() }
                    return Answer(
                        status: Int(answer.status.code),
                        instance: answer.headers.first(name: "X-Instance") ?? "",
                        text: String(buffer: body),
                        setCookies: answer.headers["Set-Cookie"]
                    )
                }
            }
            throw Cut()
        }
    }

    /// Keeps the cookies that an answer sets, and drops those that it ends.
    mutating func keep(_ answer: Answer) {
        for field in answer.setCookies {
            let pair = field.prefix { $0 != ";" }.split(separator: "=", maxSplits: 1).map(String.init)
            guard let name = pair.first else { continue }
            cookies[name] = pair.count == 2 && !field.contains("Max-Age=0") ? pair[1] : nil
        }
    }
}
