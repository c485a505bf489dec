// SPDX-License-Identifier: Apache-2.0

import Crypto

/// A Lua script.
public struct RedisScript: Sendable {
    /// The way a script is named in a command.
    enum Form {
        /// `EVALSHA` with the digest.
        case digest
        /// `EVAL` with the source.
        case source
    }

    private let storage: Storage

    /// Creates a script from its source.
    ///
    /// - Parameter source: The source text.
    public init(_ source: String) { self.init(Array(source.utf8)) }

    /// Creates a script from its source as it is embedded by SwiftPM's `.embedInCode`.
    ///
    /// - Parameter source: The source text in UTF-8.
    public init(_ source: [UInt8]) { storage = Storage(source) }

    /// The SHA-1 of the source in lower-case hexadecimal: the argument of `EVALSHA`.
    ///
    /// Redis prescribes SHA-1; no security depends on it.
    var sha1: String { storage.sha1 }

    /// The source text in UTF-8.
    package var source: [UInt8] { storage.source }

    /// The first two arguments of a call, encoded once.
    func head(_ form: Form) -> [UInt8] {
        switch form {
        case .digest: storage.digestHead
        case .source: storage.sourceHead
        }
    }

    private final class Storage: Sendable {
        let source: [UInt8]
        let sha1: String
        let digestHead: [UInt8]
        let sourceHead: [UInt8]

        init(_ source: [UInt8]) {
            let digits = Array("0123456789abcdef".utf8)
            let digest = Insecure.SHA1.hash(data: source).flatMap {
                [digits[Int($0 >> 4)], digits[Int($0 & 15)]]
            }
            self.source = source
            sha1 = String(decoding: digest, as: UTF8.self)
            digestHead = Array("$7\r\nEVALSHA\r\n$40\r\n".utf8) + digest + Array("\r\n".utf8)
            sourceHead = Array("$4\r\nEVAL\r\n$\(source.count)\r\n".utf8) + source + Array("\r\n".utf8)
        }
    }
}
