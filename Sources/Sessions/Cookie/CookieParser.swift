// SPDX-License-Identifier: Apache-2.0

package import HTTPTypes

/// What the `Cookie` fields of one request say about one name.
package enum CookieLookup: Sendable, Equatable {
    /// No cookie has the name.
    case absent
    /// One value, perhaps repeated. Any printable ASCII but `;`: the store checks its format.
    case value(String)
    /// Different values under one name: one of them was set by another site or path, and their order says
    /// nothing. Treat as anonymous (R55).
    case ambiguous
    /// The value holds a control or non-ASCII byte, so this package never wrote it (R58).
    case malformed
    /// More bytes or pairs than the limits allow; nothing in the request's cookies is believed (R57).
    case overLimit
}

/// A value is a credential: a dump of what holds it must not show it (R75).
extension CookieLookup: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package var description: String {
        switch self {
        case .absent: "absent"
        case .value: "value(…)"
        case .ambiguous: "ambiguous"
        case .malformed: "malformed"
        case .overLimit: "over limit"
        }
    }
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: []) }
}

/// How the bytes of `Cookie` fields become pairs.
///
/// The rules, all on bytes: fields count as one, joined with `; ` (R56). Split at `;` (0x3B) only. Trim space
/// and tab (0x20, 0x09) only. The first `=` (0x3D) ends the name; without one the pair is nameless and
/// matches nothing. Names are equal when their bytes are. Quotes, commas, `%` and `$` are ordinary bytes;
/// nothing is decoded. Every cleverer parser has been a way around the `__Host-` prefix: a parser that trims
/// U+00A0 or decodes `%48` sees a name that the browser did not guard.
///
/// Linear in the bytes; the one allocation is the wanted value; above the byte limit a field is not looked
/// at.
///
/// What arrives here was handled before. NIO decodes HTTP/1 and HTTP/2 fields as UTF-8 and repairs: each
/// invalid sequence becomes U+FFFD, three bytes that are neither `;` nor `=` nor blank, so repair joins no
/// pairs, splits none, and makes a damaged value of ours `malformed`. It can at most triple a foreign
/// cookie's share of the byte limit. Control bytes never arrive over HTTP/1 (llhttp refuses the request).
/// Over HTTP/2, NIO refuses CR, LF and NUL, and `HTTPField` turns the others into spaces before this code can
/// tell: inside our value such a space fails the token's check, at its ends it is trimmed. Browsers store no
/// such cookies. Source: R53–R58; RFC 6265bis §4.2, §5.6; RFC 9113 §8.2.3.
package struct CookieParser {
    /// 16 KiB: what servers commonly take for all of the header fields.
    package static let defaultMaximumBytes = 16 * 1024
    /// 180: the most cookies that browsers keep for one site.
    package static let defaultMaximumPairs = 180

    private let name: String
    private let maximumBytes: Int
    private let maximumPairs: Int
    private var isFirstField = true
    private var byteCount = 0
    private var pairCount = 0
    private var isOverLimit = false
    /// What was found for the name and for the names of its further chunks.
    private var found = [CookieLookup](repeating: .absent, count: CookieChunks.maximum)
    /// The chunks that came more than once, one bit each: the browser holds several cookies of that name.
    private var repeated: UInt8 = 0

    /// Creates a parser that looks for `name` and its chunks; feed it each field in order.
    package init(
        name: String,
        maximumBytes: Int = defaultMaximumBytes,
        maximumPairs: Int = defaultMaximumPairs
    ) {
        self.name = name
        self.maximumBytes = maximumBytes
        self.maximumPairs = maximumPairs
    }

    /// Parses the `Cookie` fields of a request, within the default limits.
    package init(name: String, fields: HTTPFields) {
        self.init(name: name)
        for field in fields where field.name == .cookie {
            // The raw bytes: `field.value` would allocate for a field that is not UTF-8.
            unsafe field.withUnsafeBytesOfValue { unsafe read($0) }
        }
    }

    /// What the fields so far say about the name; final once it is `overLimit`.
    package var result: CookieLookup { self[chunk: 0] }

    /// What the fields so far say about one chunk of the value; 0 is the name itself.
    package subscript(chunk chunk: Int) -> CookieLookup { isOverLimit ? .overLimit : found[chunk] }

    /// Whether one of the chunks, 0 to `last`, came more than once, with the same value or another.
    package func isRepeated(upTo last: Int) -> Bool { repeated & ((2 << UInt8(last)) &- 1) != 0 }

    /// Takes the bytes of the next `Cookie` field value.
    package mutating func read<Bytes: RandomAccessCollection<UInt8>>(_ field: Bytes)
    where Bytes.Index == Int {
        guard !isOverLimit else { return }
        // Two bytes for the "; " that joins fields, so that any split of the same pairs has the same size.
        byteCount += field.count + (isFirstField ? 0 : 2)
        isFirstField = false
        guard byteCount <= maximumBytes else { return isOverLimit = true }

        var start = field.startIndex
        while start < field.endIndex, !isOverLimit {
            var end = start
            var equalsSign: Int?
            while end < field.endIndex {
                let byte = field[end]
                if byte == UInt8(ascii: ";") { break }
                if byte == UInt8(ascii: "="), equalsSign == nil { equalsSign = end }
                end += 1
            }
            if let equalsSign {
                readPair(name: field[start..<equalsSign], value: field[(equalsSign + 1)..<end])
            } else if !field[start..<end].trimmed.isEmpty {
                countPair()
            }
            start = end + 1
        }
    }

    private mutating func readPair<Bytes: BidirectionalCollection<UInt8>>(name bytes: Bytes, value: Bytes) {
        guard countPair(), let chunk = chunk(of: bytes.trimmed) else { return }
        let value = value.trimmed
        let isPrintable = value.allSatisfy { (0x20...0x7E).contains($0) }
        if found[chunk] != .absent { repeated |= 1 << UInt8(chunk) }
        switch found[chunk] {
        case .absent:
            found[chunk] = isPrintable ? .value(String(decoding: value, as: UTF8.self)) : .malformed
        case .value(let earlier):
            if !isPrintable || !value.elementsEqual(earlier.utf8) { found[chunk] = .ambiguous }
        case .malformed:
            if isPrintable { found[chunk] = .ambiguous }
        case .ambiguous, .overLimit:
            break
        }
    }

    /// Returns which chunk has this name: 0 for `NAME`, 1 to 3 for `NAME.1` to `NAME.3`, nil for any other.
    private func chunk(of bytes: some Collection<UInt8>) -> Int? {
        guard bytes.starts(with: name.utf8) else { return nil }
        let rest = bytes.dropFirst(name.utf8.count)
        guard let dot = rest.first else { return 0 }
        guard dot == UInt8(ascii: "."), rest.count == 2, let digit = rest.dropFirst().first else {
            return nil
        }
        let chunk = Int(digit) - 0x30
        return (1..<CookieChunks.maximum).contains(chunk) ? chunk : nil
    }

    @discardableResult
    private mutating func countPair() -> Bool {
        pairCount += 1
        isOverLimit = pairCount > maximumPairs
        return !isOverLimit
    }
}

extension SessionCookie {
    /// What a request says about the session cookie, from one pass over its `Cookie` fields.
    package struct Lookup: Sendable {
        /// The cookie's value, put together from its chunks.
        package let value: CookieLookup
        /// The further chunks that the request carries, whatever it says about their number; none where the
        /// cookie is never divided, for `NAME.1` belongs to somebody else there.
        package let chunks: [Int]
        /// Whether the browser holds several cookies of one name, even if their values are equal.
        package let isRepeated: Bool
    }

    /// Reads the session cookie of a request.
    ///
    /// - Parameters:
    ///   - fields: the request's fields.
    ///   - isDivided: whether `NAME.1` and so on belong to the session; see `SessionStore.dividesCookie`.
    /// - Returns: what the fields say.
    package func read(_ fields: HTTPFields, isDivided: Bool = true) -> Lookup {
        let parser = CookieParser(name: name, fields: fields)
        guard isDivided else {
            return Lookup(value: parser.result, chunks: [], isRepeated: parser.isRepeated(upTo: 0))
        }
        return Lookup(
            value: value(parser),
            chunks: (1..<CookieChunks.maximum).filter { parser[chunk: $0] != .absent },
            isRepeated: parser.isRepeated(upTo: CookieChunks.maximum - 1)
        )
    }

    private func value(_ parser: CookieParser) -> CookieLookup {
        guard case .value(let first) = parser.result, let count = CookieChunks.count(in: first) else {
            return parser.result
        }
        var texts = [first]
        for chunk in 1..<count {
            switch parser[chunk: chunk] {
            case .value(let text): texts.append(text)
            case .absent: return .malformed
            case let other: return other
            }
        }
        return CookieChunks.join(texts, name: name).map(CookieLookup.value) ?? .malformed
    }
}
