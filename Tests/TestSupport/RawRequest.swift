// SPDX-License-Identifier: Apache-2.0

import Foundation
import NIOCore

/// Sends bytes that no HTTP client would send, over a plain socket, and reads the answer to its end.
///
/// Ask for `Connection: close` in the bytes. An empty text means that the server closed without an answer.
public func sendRaw(_ bytes: [UInt8], port: Int, seconds: Double = 10) async throws -> String {
    let descriptor = try connected(port)
    defer { close(descriptor) }
    var rest = bytes[...]
    var answer: [UInt8] = []
    var isOver = false
    let flags = Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL)
    let ended = await poll(seconds: seconds, every: .milliseconds(2)) {
        if !rest.isEmpty {
            let sent = rest.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, flags) }
            if sent > 0 { rest = rest.dropFirst(sent) } else if errno != EAGAIN { rest = [] }
        }
        var buffer = [UInt8](repeating: 0, count: 65_536)
        let count = recv(descriptor, &buffer, buffer.count, flags)
        if count > 0 { answer += buffer[..<count] } else if count == 0 || errno != EAGAIN { isOver = true }
        return isOver
    }
    guard ended else {
        throw ChildProcess.Failure(
            description: "no end of the answer within \(seconds) s: \(answer.count) bytes"
        )
    }
    return String(decoding: answer, as: UTF8.self)
}

/// The status code of a raw answer; nil when there is none.
public func status(ofRaw answer: String) -> Int? {
    let parts = answer.split(separator: " ", maxSplits: 2)
    return parts.count > 1 && parts[0].hasPrefix("HTTP/1.") ? Int(parts[1]) : nil
}

/// Sends bytes and closes the connection without waiting for an answer.
public func hangUp(after bytes: [UInt8], port: Int) throws {
    let descriptor = try connected(port)
    defer { close(descriptor) }
    let sent = bytes.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
    guard sent == bytes.count else {
        throw ChildProcess.Failure(description: "only \(sent) of \(bytes.count) bytes sent")
    }
}

/// A socket that is connected to a loopback port; the caller closes it.
private func connected(_ port: Int) throws -> Int32 {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    let isConnected = try SocketAddress(ipAddress: "127.0.0.1", port: port).withSockAddr { address, size in
        connect(descriptor, address, socklen_t(size)) == 0
    }
    guard isConnected else {
        close(descriptor)
        throw ChildProcess.Failure(description: "no connection to port \(port)")
    }
    return descriptor
}
