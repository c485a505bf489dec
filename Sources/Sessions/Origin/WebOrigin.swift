// SPDX-License-Identifier: Apache-2.0

import HTTPTypes

/// The origin of a web page: scheme, host and port (RFC 6454 §7).
struct WebOrigin: Hashable {
    private let scheme: String
    private let host: String
    /// Never nil for a scheme with a port of its own.
    private let port: Int?

    /// Reads an origin as browsers write it; nil for anything else, `null` among it.
    init?(_ text: String) {
        guard let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")) else { return nil }
        let (name, rest) = (text[..<colon].utf8, text[colon...].utf8)
        guard name.first.map({ ASCII.isAlphanumeric($0) && $0 > 0x39 }) == true,
            name.allSatisfy({ ASCII.isAlphanumeric($0) || "+-.".utf8.contains($0) }),
            rest.starts(with: "://".utf8),
            let place = Self.place(Substring(rest.dropFirst(3)))
        else { return nil }
        scheme = text[..<colon].lowercased()
        host = place.host
        port = place.port ?? Self.defaultPort(scheme)
    }

    /// Whether this is the origin that a request was sent to.
    ///
    /// A request over TLS was sent to `https`. Over plain HTTP it may have come through a proxy that ended
    /// TLS: then a port that is not named is that of this origin's scheme.
    func isAsked(by request: HTTPRequest) -> Bool {
        guard let place = request.authority.flatMap({ Self.place($0[...]) }) else { return false }
        guard request.scheme?.lowercased() != "https" || scheme == "https" else { return false }
        return ["http", "https"].contains(scheme) && host == place.host
            && port == place.port ?? Self.defaultPort(scheme)
    }

    private static func defaultPort(_ scheme: String) -> Int? { ["http": 80, "https": 443][scheme] }

    /// Splits `host`, `host:port` or `[address]:port`.
    private static func place(_ text: Substring) -> (host: String, port: Int?)? {
        let bytes = text.utf8
        let end: Substring.Index
        if bytes.first == UInt8(ascii: "[") {
            guard let bracket = bytes.firstIndex(of: UInt8(ascii: "]")),
                bytes[..<bracket].dropFirst().contains(UInt8(ascii: ":")),
                bytes[..<bracket].dropFirst().allSatisfy({
                    ASCII.isAlphanumeric($0) || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: ".")
                })
            else { return nil }
            end = bytes.index(after: bracket)
        } else {
            end = bytes.firstIndex(of: UInt8(ascii: ":")) ?? bytes.endIndex
            guard end != bytes.startIndex,
                bytes[..<end].allSatisfy({ ASCII.isAlphanumeric($0) || "-._".utf8.contains($0) })
            else { return nil }
        }
        let host = text[..<end].lowercased()
        guard end != bytes.endIndex else { return (host, nil) }
        let digits = bytes[end...].dropFirst()
        guard bytes[end] == UInt8(ascii: ":"), (1...5).contains(digits.count),
            digits.allSatisfy({ (0x30...0x39).contains($0) }),
            let port = Int(Substring(digits)), (1...65_535).contains(port)
        else { return nil }
        return (host, port)
    }
}
