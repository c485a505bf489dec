// SPDX-License-Identifier: Apache-2.0

public import HTTPTypes

/// A request that was refused because another origin's page may have made the browser send it (R83).
///
/// What the client wrote is shortened to 128 characters, and characters that no origin has are replaced by
/// `?`: it can be logged as it is.
public struct CrossOriginRefusal: Error, Hashable, Sendable, CustomStringConvertible {
    /// The `Sec-Fetch-Site` field; several are joined with a comma.
    public let site: String?
    /// The `Origin` field; several are joined with a comma.
    public let origin: String?

    init(site: [String], origin: [String]) {
        self.site = site.isEmpty ? nil : Self.shown(site.joined(separator: ","))
        self.origin = origin.isEmpty ? nil : Self.shown(origin.joined(separator: ","))
    }

    /// Always 403.
    public var status: HTTPResponse.Status { .forbidden }

    /// The header fields of the response: it is not cached, and depends on what was examined.
    public var headers: HTTPFields {
        [
            .contentType: "application/json; charset=utf-8", .cacheControl: "no-store",
            .vary: "Origin, Sec-Fetch-Site",
        ]
    }

    /// The body of the response: JSON with a fixed sentence, as `SessionError.body` has it.
    public var body: String {
        #"{"error":"cross-origin","message":"This request came from another site's page and was refused."}"#
    }

    /// The text for logs and messages.
    public var description: String {
        "cross-origin: Sec-Fetch-Site \(site ?? "missing"), Origin \(origin ?? "missing")"
    }

    /// Returns client input in a form that is safe to print.
    static func shown(_ text: String) -> String {
        let bytes = text.utf8.prefix(128).map { byte in
            ASCII.isAlphanumeric(byte) || "-._~:/[]+,*%".utf8.contains(byte) ? byte : UInt8(ascii: "?")
        }
        return String(decoding: bytes, as: UTF8.self) + (text.utf8.count > 128 ? "…" : "")
    }
}
