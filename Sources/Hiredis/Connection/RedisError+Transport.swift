// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOPosix
import NIOSSL

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The peer closed the connection before the handshake was over.
struct ClosedDuringHandshake: Error {
    let error: RedisError
}

extension RedisError {
    /// The server to which sentinels have led is not a primary.
    static let notPrimary: Self = {
        var error = Self(.connection, .notSent, "the server that the sentinels name is not a primary")
        error.isNotPrimary = true
        return error
    }()

    /// Converts an error of the transport; quotes nothing that the peer sent.
    init(transport error: any Error) {
        self =
            switch error {
            case let error as RedisError: error
            case let error as ClosedDuringHandshake: error.error
            case NIOSSLError.uncleanShutdown: Self(.connection, .unknown, "Redis closed the connection")
            case let error as NIOSSLExtraError where error == .failedToValidateHostname:
                Self(.tls, .notSent, "the certificate of the server is for another name")
            case is NIOSSLError, is NIOSSLExtraError, is BoringSSLError:
                Self(.tls, .notSent, "TLS failed: certificates do not match, or the server does not use TLS")
            case let error as IOError:
                Self(.connection, .unknown, Self.words(error.errnoCode))
            case let error as NIOConnectionError where !error.connectionErrors.isEmpty:
                Self(transport: error.connectionErrors[0].error)
            case is NIOConnectionError, is SocketAddressError:
                Self(.connection, .notSent, "the host name of Redis cannot be resolved")
            case ChannelError.connectTimeout:
                Self(.connection, .notSent, "Redis could not be reached in time")
            default: Self(.connection, .unknown, "Redis cannot be reached")
            }
    }

    private static func words(_ code: CInt) -> String {
        switch code {
        case ECONNREFUSED: "the connection was refused"
        case ECONNRESET, EPIPE: "the connection was reset by the peer"
        case ETIMEDOUT: "the connection timed out"
        case EHOSTUNREACH, ENETUNREACH, EHOSTDOWN, ENETDOWN: "there is no route to the server"
        case ENOENT: "there is no such socket"
        case EACCES, EPERM: "the system does not permit the connection"
        case EMFILE, ENFILE: "the process has too many open files"
        case EADDRNOTAVAIL: "no local port is free"
        default: "the connection failed (errno \(code))"
        }
    }
}
