// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOPosix
import NIOSSL

extension RedisError {
    /// Converts an error of the transport; quotes nothing that the peer sent.
    init(transport error: any Error) {
        self =
            switch error {
            case let error as RedisError: error
            case NIOSSLError.uncleanShutdown: Self(.connection, .unknown, "Redis closed the connection")
            case let error as NIOSSLExtraError where error == .failedToValidateHostname:
                Self(.tls, .notSent, "the certificate of the server is for another name")
            case is NIOSSLError, is NIOSSLExtraError, is BoringSSLError:
                Self(.tls, .notSent, "TLS failed: certificates do not match, or the server does not use TLS")
            case let error as IOError:
                Self(.connection, .unknown, "the connection failed (errno \(error.errnoCode))")
            case let error as NIOConnectionError where !error.connectionErrors.isEmpty:
                Self(transport: error.connectionErrors[0].error)
            case ChannelError.connectTimeout:
                Self(.connection, .notSent, "Redis could not be reached in time")
            default: Self(.connection, .unknown, "Redis cannot be reached")
            }
    }
}
