// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport

/// An instance whose every answer sets as much in cookies as a sealed session may need; asked for a WebSocket,
/// it agrees and shows what it was asked.
final class WideOrigin: Listener {
    /// Two cookies, of about 4 KiB each with their attributes.
    static let cookies = ["a", "b"].map {
        "wide-\($0)=\(String(repeating: $0, count: 4000)); Path=/; Secure; HttpOnly; SameSite=Lax"
    }
    let port: Int
    private let descriptor: Int32

    init() throws {
        let port = try freePort()
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        self.port = port
        self.descriptor = descriptor
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        address.sin_port = UInt16(port).bigEndian
        let isListening = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
                    && listen(descriptor, 64) == 0
            }
        }
        guard isListening else { throw Balancer.Failure(description: "no port for the origin") }
        Thread.detachNewThread {
            while case let connection = accept(descriptor, nil, nil), connection >= 0 {
                Self.answer(connection)
            }
        }
    }

    /// Wakes the thread, which ends then.
    func stop() { shutdown(descriptor, Int32(SHUT_RDWR)) }

    deinit { close(descriptor) }

    /// Reads one request head to its end and answers it.
    private static func answer(_ connection: Int32) {
        defer { close(connection) }
        var head: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 32_768)
        while !head.suffix(4).elementsEqual("\r\n\r\n".utf8) {
            let count = recv(connection, &buffer, buffer.count, 0)
            guard count > 0 else { return }
            head += buffer[..<count]
        }
        let text = String(decoding: head, as: UTF8.self)
        if text.lowercased().contains("\r\nupgrade: websocket\r\n") {
            let agreed = Array(
                (["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: upgrade"]
                    // The answer to the key of RFC 6455 §1.3, which HAProxy checks.
                    + ["Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "", text])
                    .joined(separator: "\r\n").utf8
            )
            _ = agreed.withUnsafeBytes { send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            return
        }
        let body = text.hasPrefix("GET /echo ") ? text : "\(head.count)"
        let fields =
            ["X-Instance: wide", "Content-Length: \(body.utf8.count)", "Connection: close"]
            + cookies.map { "Set-Cookie: \($0)" }
        let answer = Array("HTTP/1.1 200 OK\r\n\(fields.joined(separator: "\r\n"))\r\n\r\n\(body)".utf8)
        _ = answer.withUnsafeBytes { send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
    }
}
