// SPDX-License-Identifier: Apache-2.0

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// How a browser reads one `Set-Cookie` value, before it decides whether to keep the cookie.
///
/// Works on bytes; of a repeated attribute the last one counts. Source: RFC 6265bis §5.1.1 and §5.6.
struct SetCookieLine {
    var name = ""
    var value = ""
    var domain = ""
    var path = ""
    var isSecure = false
    var isHTTPOnly = false
    var isPartitioned = false
    var sameSite: String?
    var expires: Date?

    private static let longestLife: Double = 400 * 86_400

    /// Nil when the whole line is ignored.
    init?(_ line: String, now: Date) {
        guard !line.utf8.contains(where: { $0 < 0x20 && $0 != 0x09 || $0 == 0x7F }) else { return nil }
        let parts = line.utf8.split(separator: UInt8(ascii: ";"), omittingEmptySubsequences: false)
        let pair = Self.halves(parts[0])
        (name, value) = pair.value.map { (pair.name, $0) } ?? ("", pair.name)
        guard !(name.isEmpty && value.isEmpty), name.utf8.count + value.utf8.count <= 4096 else { return nil }
        var maxAge: Date?
        for part in parts.dropFirst() {
            let attribute = Self.halves(part)
            let value = attribute.value ?? ""
            guard value.utf8.count <= 1024 else { continue }
            switch attribute.name.lowercased() {
            case "expires": expires = Self.date(value) ?? expires
            case "max-age":
                maxAge = Self.seconds(value).map { $0 > 0 ? now + Double($0) : .distantPast } ?? maxAge
            case "domain": domain = String(value.first == "." ? value.dropFirst() : value[...]).lowercased()
            case "path": path = value
            case "secure": isSecure = true
            case "httponly": isHTTPOnly = true
            case "partitioned": isPartitioned = true
            case "samesite":
                sameSite = ["strict": "Strict", "lax": "Lax", "none": "None"][value.lowercased()]
            default: continue
            }
        }
        expires = (maxAge ?? expires).map { min($0, now + Self.longestLife) }
    }

    /// What stands before and after the first `=`, without blanks and tabs around; no value without a `=`.
    private static func halves(_ bytes: some BidirectionalCollection<UInt8>) -> (name: String, value: String?)
    {
        func text(_ bytes: some BidirectionalCollection<UInt8>) -> String {
            let isBlank = { (byte: UInt8) in byte == 0x20 || byte == 0x09 }
            let tail = bytes.drop(while: isBlank)
            guard let last = tail.lastIndex(where: { !isBlank($0) }) else { return "" }
            return String(decoding: tail[...last], as: UTF8.self)
        }
        guard let equals = bytes.firstIndex(of: UInt8(ascii: "=")) else { return (text(bytes), nil) }
        return (text(bytes[..<equals]), text(bytes[bytes.index(after: equals)...]))
    }

    /// A `Max-Age`: digits, or a minus sign and digits; too large counts as very large.
    private static func seconds(_ text: String) -> Int64? {
        let digits = text.first == "-" ? text.dropFirst() : text[...]
        guard !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return Int64(text) ?? (text.first == "-" ? -1 : Int64(longestLife))
    }

    /// A cookie date in the forgiving grammar that browsers use: the first time, day, month and year found in
    /// any order.
    static func date(_ text: String) -> Date? {
        let isDelimiter = { (byte: UInt8) in
            byte == 0x09 || (0x20...0x2F).contains(byte) || (0x3B...0x40).contains(byte)
                || (0x5B...0x60).contains(byte)
                || (0x7B...0x7E).contains(byte)
        }
        var time: [Int]?
        var (day, month, year): (Int?, Int?, Int?)
        for token in text.utf8.split(whereSeparator: isDelimiter) {
            if time == nil, let found = clock(token) {
                time = found
            } else if day == nil, let found = number(token, digits: 1...2) {
                day = found
            } else if month == nil, let found = self.month(token) {
                month = found
            } else if year == nil, let found = number(token, digits: 2...4) {
                year =
                    (70...99).contains(found) ? found + 1900 : (0...69).contains(found) ? found + 2000 : found
            }
        }
        guard let time, let day, let month, let year, (1...31).contains(day), year >= 1601, time[0] < 24,
            time[1] < 60, time[2] < 60
        else { return nil }
        let days = daysSince1970(year: year, month: month, day: day)
        guard daysSince1970(year: month == 12 ? year + 1 : year, month: month % 12 + 1, day: 1) > days else {
            return nil
        }
        return Date(timeIntervalSince1970: Double(days * 86_400 + time[0] * 3600 + time[1] * 60 + time[2]))
    }

    private static func clock(_ token: some Collection<UInt8>) -> [Int]? {
        let fields = token.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        guard fields.count == 3, fields.dropLast().allSatisfy({ $0.count <= 2 }) else { return nil }
        let numbers = fields.compactMap { number($0, digits: 1...2) }
        return numbers.count == 3 ? numbers : nil
    }

    /// The leading digits as a number when there are as many as asked; what follows them must not be a digit.
    private static func number(_ token: some Collection<UInt8>, digits: ClosedRange<Int>) -> Int? {
        let found = token.prefix { (0x30...0x39).contains($0) }
        return digits.contains(found.count) ? found.reduce(0) { $0 * 10 + Int($1 - 0x30) } : nil
    }

    private static func month(_ token: some Collection<UInt8>) -> Int? {
        let names = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
        return names.firstIndex(of: String(decoding: token.prefix(3), as: UTF8.self).lowercased()).map {
            $0 + 1
        }
    }

    /// Days from 1970-01-01 in the Gregorian calendar, counted in years that begin in March.
    private static func daysSince1970(year: Int, month: Int, day: Int) -> Int {
        let shifted = month > 2 ? year : year - 1
        let dayOfYear = (153 * ((month + 9) % 12) + 2) / 5 + day - 1
        return shifted * 365 + shifted / 4 - shifted / 100 + shifted / 400 + dayOfYear - 719_468
    }
}
