// SPDX-License-Identifier: Apache-2.0

/// The other cookies of the session's name that a browser may hold, and how a response deletes them.
///
/// A browser tells cookies of one name apart by domain, path and partition, and sends all that match without
/// saying which is which. Others than the configured one are left by a deployment that changed `Domain`,
/// `Path` or `Partitioned`, or were planted by a sister domain. They cannot be told from ours, so the request
/// is anonymous (R55), and every one that can exist is deleted. Otherwise signing in would never last.
extension SessionCookie {
    /// Bytes that the `Set-Cookie` values may have together: a proxy with default settings takes 4 KiB for all
    /// lines of a response header, one that is set up for divided cookies 16 KiB.
    private static let bytes = (one: 3000, divided: 12_000)
    /// Bytes that the deletions may have in any case.
    private static let leastBytes = 300

    /// Returns the values of the `Set-Cookie` fields that delete the cookies of this name that a request may
    /// have carried, all but the configured one.
    ///
    /// - Parameters:
    ///   - chunks: the further chunks that the request carried.
    ///   - authority: the request's host, with or without a port; nil when it is not known.
    ///   - target: the request's path, with or without a query; nil when it is not known.
    ///   - fields: the other `Set-Cookie` values of the response.
    /// - Returns: the values. What does not fit goes into later responses: the selection is random then.
    func variantDeletionFields(
        of chunks: [Int],
        authority: String?,
        target: String?,
        beside fields: [String]
    ) -> [String] {
        let variants = variants(host: authority.flatMap(Self.host), path: target.flatMap(Self.path))
        func lines(_ isPartitioned: Bool) -> [String] {
            variants.filter { $0.isPartitioned == isPartitioned }.flatMap { variant in
                ([0] + chunks).map(variant.shortDeletionField)
            }
        }
        func size(_ lines: [String]) -> Int { lines.reduce(0) { $0 + $1.utf8.count } }
        let most = chunks.isEmpty ? Self.bytes.one : Self.bytes.divided
        var room = max(Self.leastBytes, most - size(fields))
        // In front what a deployment leaves: the same domain and path in the other partition.
        let other = lines(!isPartitioned)
        let (likely, rest) = (other.prefix(1 + chunks.count), other.dropFirst(1 + chunks.count))
        let same = lines(isPartitioned)
        let ordered =
            size(likely + same) <= room ? likely + same + rest.shuffled() : likely + (same + rest).shuffled()
        return ordered.filter { line in
            guard line.utf8.count <= room else { return false }
            room -= line.utf8.count
            return true
        }
    }

    /// All cookies of this name that a browser can send to a host and path, but not this one; first those of
    /// the same domain, first of these that of the same path.
    private func variants(host: String?, path target: String?) -> [SessionCookie] {
        var domains: [String?] = [domain]
        var paths = [path]
        if !isHostBound {
            if domain != nil { domains.append(nil) }
            domains += Self.domains(of: host).filter { $0 != domain?.lowercased() }
            paths += Self.paths(covering: target).filter { $0 != path }
        }
        let partitions = isSecure ? [false, true] : [false]
        return domains.flatMap { domain in
            paths.flatMap { path in
                partitions.map { isPartitioned in
                    var variant = self
                    (variant.domain, variant.path, variant.isPartitioned) = (domain, path, isPartitioned)
                    return variant
                }
            }
        }.filter { $0 != self }
    }

    /// What identifies the cookie and lets the browser accept the line, and no more.
    private func shortDeletionField(chunk: Int) -> String {
        var field = "\(CookieChunks.name(chunk, of: name))=; Path=\(path)"
        if let domain { field += "; Domain=\(domain)" }
        if isSecure { field += "; Secure" }
        if sameSite == .none { field += "; SameSite=None" }
        if isPartitioned { field += "; Partitioned" }
        return field + "; Max-Age=0"
    }

    /// The domains whose cookies a host gets: itself and its parents, but no top-level domain.
    private static func domains(of host: String?) -> [String] {
        guard let host else { return [] }
        let labels = host.split(separator: ".")
        return labels.count < 2 ? [] : (0...(labels.count - 2)).map { labels[$0...].joined(separator: ".") }
    }

    /// The paths whose cookies a path gets (RFC 6265bis §5.1.4), shortest first.
    private static func paths(covering path: String?) -> [String] {
        guard let path else { return ["/"] }
        let bytes = Array(path.utf8)
        var paths = ["/"]
        for (index, byte) in bytes.enumerated() where byte == UInt8(ascii: "/") && index > 0 {
            paths.append(String(decoding: bytes[..<index], as: UTF8.self))
            paths.append(String(decoding: bytes[...index], as: UTF8.self))
        }
        if !paths.contains(path) { paths.append(path) }
        return paths
    }

    /// The host name in lower case, without its port; nil for an address, which has no parents, and for
    /// everything that is no host name.
    private static func host(_ authority: String) -> String? {
        let host = authority.utf8.prefix { $0 != UInt8(ascii: ":") }
        let isName =
            host.allSatisfy { isHostByte($0) || $0 == UInt8(ascii: ".") }
            && !host.allSatisfy { (0x30...0x39).contains($0) || $0 == UInt8(ascii: ".") }
        return isName && host.count <= 253 ? String(decoding: host, as: UTF8.self).lowercased() : nil
    }

    /// The path without its query; nil when no cookie can have it.
    private static func path(_ target: String) -> String? {
        let path = target.utf8.prefix { $0 != UInt8(ascii: "?") && $0 != UInt8(ascii: "#") }
        guard path.first == UInt8(ascii: "/"), path.count <= 1024,
            path.allSatisfy({ (0x21...0x7E).contains($0) && $0 != UInt8(ascii: ";") })
        else { return nil }
        return String(decoding: path, as: UTF8.self)
    }
}
