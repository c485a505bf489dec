// SPDX-License-Identifier: Apache-2.0

/// One line of Redis' `MONITOR`: `1700000000.000000 [0 127.0.0.1:50000] "SET" "k" "a\x00b"`.
struct MonitorLine: Sendable, Equatable {
    /// Whether a script ran the command.
    var isInScript: Bool
    /// The command and its arguments, as bytes.
    var words: [[UInt8]]

    /// Nil when the line is none.
    init?(_ line: some StringProtocol) {
        guard let open = line.firstIndex(of: "["), let close = line[open...].firstIndex(of: "]") else {
            return nil
        }
        isInScript = line[open..<close].hasSuffix(" lua")
        words = []
        var word: [UInt8]?
        var bytes = line[line.index(after: close)...].utf8.makeIterator()
        while let byte = bytes.next() {
            guard let current = word else {
                if byte == UInt8(ascii: "\"") { word = [] }
                continue
            }
            switch byte {
            case UInt8(ascii: "\""):
                words.append(current)
                word = nil
            case UInt8(ascii: "\\"):
                guard let escape = bytes.next() else { return nil }
                switch escape {
                case UInt8(ascii: "n"): word?.append(10)
                case UInt8(ascii: "r"): word?.append(13)
                case UInt8(ascii: "t"): word?.append(9)
                case UInt8(ascii: "a"): word?.append(7)
                case UInt8(ascii: "b"): word?.append(8)
                case UInt8(ascii: "x"):
                    guard let high = bytes.next(), let low = bytes.next(),
                        let value = UInt8(String(decoding: [high, low], as: UTF8.self), radix: 16)
                    else { return nil }
                    word?.append(value)
                default: word?.append(escape)
                }
            default: word?.append(byte)
            }
        }
        if word != nil || words.isEmpty { return nil }
    }

    /// The command in upper case.
    var command: String { String(decoding: words[0], as: UTF8.self).uppercased() }
}
