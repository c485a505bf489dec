// SPDX-License-Identifier: Apache-2.0

import Crypto

/// A Lua script and the digest Redis knows it by.
public struct RedisScript: Sendable {
    private let storage: Storage

    /// A script from its source text.
    public init(_ source: String) { self.init(Array(source.utf8)) }

    /// A script from the bytes of its source, as resources are embedded.
    public init(_ source: [UInt8]) { storage = Storage(source) }

    /// The SHA-1 of the source in lower-case hexadecimal: the name that `EVALSHA` takes.
    ///
    /// SHA-1 is what Redis uses here; nothing rests on its strength.
    public var sha1: String { storage.sha1 }

    /// The source.
    public var source: [UInt8] { storage.source }

    /// The first two arguments of a call, encoded once.
    func head(_ form: RedisCommand.ScriptForm) -> [UInt8] {
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
