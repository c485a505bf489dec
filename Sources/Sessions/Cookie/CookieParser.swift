// SPDX-License-Identifier: Apache-2.0

package import HTTPTypes

/// What the `Cookie` fields of one request say about one name.
package enum CookieLookup: Sendable, Equatable {
    /// No cookie has the name.
    case absent
    /// One value, perhaps repeated. Any printable ASCII but `;`: the ticket format is checked by its own
    /// gate.
    case value(String)
    /// Different values under one name: somebody else set one of them, and the order tells nothing. Treat as
    /// anonymous (R55).
    case ambiguous
    /// The value holds a control or non-ASCII byte, so this package never wrote it (R58).
    case malformed
    /// More bytes or pairs than the limits allow; nothing in the request's cookies is believed (R57).
    case overLimit
}

/// A value is a credential: it must not show when somebody dumps what holds it (R75).
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
/// tell: inside our value such a space fails the ticket's gate, at its ends it is trimmed. Browsers store no
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

    /// What the fields so far say; final once it is `overLimit`.
    package private(set) var reading = CookieLookup.absent

    /// A reader that looks for `name`; feed it each field in order.
    package init(
        name: String,
        maximumBytes: Int = defaultMaximumBytes,
        maximumPairs: Int = defaultMaximumPairs
    ) {
        self.name = name
        self.maximumBytes = maximumBytes
        self.maximumPairs = maximumPairs
    }

    /// What the request's `Cookie` fields say about `name`, within the default limits.
    package static func read(_ name: String, in fields: HTTPFields) -> CookieLookup {
        var header = Self(name: name)
        for field in fields where field.name == .cookie {
            // The raw bytes: `field.value` would allocate for a field that is not UTF-8.
            field.withUnsafeBytesOfValue { header.read($0) }
        }
        return header.reading
    }

    /// Takes the bytes of the next `Cookie` field value.
    package mutating func read<Bytes: RandomAccessCollection<UInt8>>(_ field: Bytes)
    where Bytes.Index == Int {
        guard reading != .overLimit else { return }
        // Two bytes for the "; " that joins fields, so that any split of the same pairs has the same size.
        byteCount += field.count + (isFirstField ? 0 : 2)
        isFirstField = false
        guard byteCount <= maximumBytes else { return reading = .overLimit }

        var start = field.startIndex
        while start < field.endIndex, reading != .overLimit {
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
        guard countPair() else { return }
        let bytes = bytes.trimmed
        guard bytes.count == name.utf8.count, bytes.elementsEqual(name.utf8) else { return }
        found(value.trimmed)
    }

    @discardableResult
    private mutating func countPair() -> Bool {
        pairCount += 1
        guard pairCount <= maximumPairs else {
            reading = .overLimit
            return false
        }
        return true
    }

    /// One more value under our name.
    private mutating func found(_ value: some Collection<UInt8>) {
        let isPrintable = value.allSatisfy { (0x20...0x7E).contains($0) }
        switch reading {
        case .absent:
            reading = isPrintable ? .value(String(decoding: value, as: UTF8.self)) : .malformed
        case .value(let earlier):
            if !isPrintable || !value.elementsEqual(earlier.utf8) { reading = .ambiguous }
        case .malformed:
            if isPrintable { reading = .ambiguous }
        case .ambiguous, .overLimit:
            break
        }
    }
}

extension BidirectionalCollection<UInt8> {
    /// The bytes without the spaces and tabs at either end, HTTP's optional whitespace (RFC 9110 §5.6.3).
    var trimmed: SubSequence {
        var rest = drop { $0 == 0x20 || $0 == 0x09 }
        while rest.last == 0x20 || rest.last == 0x09 { rest.removeLast() }
        return rest
    }
}
