// SPDX-License-Identifier: Apache-2.0

/// How a value that is too long for one cookie is spread over several: `NAME`, `NAME.1` … `NAME.3`.
///
/// A browser drops a cookie whose name and value have more than 4,096 bytes without a word (R49). The first
/// chunk of a divided value starts with the number of chunks and `~`; all but the last are full. So the same
/// value is always divided in the same way, and any other division is malformed. The number is the client's
/// word and only says how many chunks to look for: a value that was divided is sealed as a whole, and wrong,
/// missing or mixed chunks do not open. Source: R49, R68.
package enum CookieChunks {
    /// The maximum number of chunks.
    package static let maximum = 4
    /// Bytes that a whole value may have: what the most careful servers accept in a header (RFC 6265bis
    /// §4.2.1).
    package static let maximumBytes = 8192

    /// Returns the name of a chunk; the first has the cookie's own.
    package static func name(_ chunk: Int, of name: String) -> String {
        chunk == 0 ? name : "\(name).\(chunk)"
    }

    /// Whether a value of so many bytes takes more than one cookie.
    package static func isDivided(bytes: Int, name: String) -> Bool { name.utf8.count + bytes > 4096 }

    /// Returns how many chunks a first chunk announces; nil when it is the whole value.
    package static func count(in first: String) -> Int? {
        let bytes = first.utf8.prefix(2)
        guard bytes.count == 2, bytes.last == UInt8(ascii: "~"), let digit = bytes.first else { return nil }
        let count = Int(digit) - Int(UInt8(ascii: "0"))
        return (2...maximum).contains(count) ? count : nil
    }

    /// Returns the chunks of a value; one when it fits.
    package static func split(_ value: String, name: String) throws(SessionError) -> [String] {
        guard isDivided(bytes: value.utf8.count, name: name) else { return [value] }
        guard value.utf8.count <= maximumBytes else {
            throw SessionError(
                .tooLarge,
                "The session cookie would have \(value.utf8.count) bytes, \(maximumBytes) are allowed; store less in it or use a server-side store."
            )
        }
        let room = room(name)
        let bytes = Array(value.utf8)
        let count = (bytes.count + 2 + room - 1) / room
        let marked = Array("\(count)~".utf8) + bytes
        return stride(from: 0, to: marked.count, by: room).map {
            String(decoding: marked[$0..<min($0 + room, marked.count)], as: UTF8.self)
        }
    }

    /// Returns the value that the chunks make; nil when `split` would never have divided anything like this.
    package static func join(_ chunks: [String], name: String) -> String? {
        let value = String(chunks.joined().dropFirst(2))
        guard value.utf8.count <= maximumBytes, let again = try? split(value, name: name), again == chunks
        else { return nil }
        return value
    }

    /// Bytes that a chunk may have next to the longest of the names.
    private static func room(_ name: String) -> Int { 4096 - name.utf8.count - 2 }
}
