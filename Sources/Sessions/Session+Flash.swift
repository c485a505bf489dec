// SPDX-License-Identifier: Apache-2.0

/// Messages for the next page, kept as one attribute that a sign-in does not drop.
extension Session {
    /// Adds a message for the next page.
    ///
    /// Of those that no page has shown, the last 20 are kept, and of these the last that have 1 KiB as JSON together; a
    /// longer message is cut. They do not count towards `SessionLimits`: a full session still takes one.
    ///
    /// - Parameter message: the text; a sign-in keeps it.
    /// - Throws: `.closed` after the commit.
    public func flash(_ message: String) throws {
        try update(.flash, default: []) { FlashMessages.add(message, to: &$0) }
    }

    /// Takes the messages, so that each is shown once.
    ///
    /// They stay for the next page if the response turns out to show nothing: 1xx, 204, 205, 304 or the
    /// answer to a `HEAD` request.
    ///
    /// - Returns: the messages of earlier requests and of this one, in their order.
    /// - Throws: `.closed` after the commit, if there are any.
    public func takeFlash() throws -> [String] {
        guard let messages = self[.flash], !messages.isEmpty else { return [] }
        try show(.flash) { stored in
            guard let all = stored else { return }
            let left = FlashMessages.left(of: all, after: messages)
            stored = left.isEmpty ? nil : left
        }
        return messages
    }
}

extension SessionKey where Value == [String] {
    /// Where flash messages are kept.
    static var flash: Self { Self(reserved: "@flash") }
}

/// The bounds of flash messages: a page that is never shown must not fill the session.
enum FlashMessages {
    static let count = 20
    static let bytes = 1024

    /// Adds a message, cut if it is too long, and drops the oldest ones above the bounds.
    static func add(_ message: String, to messages: inout [String]) {
        messages.append(cut(message))
        while messages.count > count || messages.reduce(0, { $0 + size($1.unicodeScalars) }) > bytes {
            messages.removeFirst()
        }
    }

    private static func cut(_ message: String) -> String {
        guard size(message.unicodeScalars) > bytes else { return message }
        var (text, left) = (String.UnicodeScalarView(), bytes - size("\u{2026}".unicodeScalars))
        for scalar in message.unicodeScalars {
            left -= size(CollectionOfOne(scalar)) - quotes
            guard left >= 0 else { break }
            text.append(scalar)
        }
        return String(text) + "\u{2026}"
    }

    /// Two quotation marks and a comma.
    private static let quotes = 3

    /// The bytes of a text in a list in JSON.
    private static func size(_ text: some Collection<Unicode.Scalar>) -> Int {
        text.reduce(quotes) { sum, scalar in
            switch scalar {
            case "\"", "\\", "/": sum + 2
            case "\u{0}"..."\u{1F}", "\u{7F}": sum + 6
            default: sum + UTF8.width(scalar)
            }
        }
    }

    /// Returns what stays of all messages when some were shown.
    ///
    /// Messages that were added since, and all if another request has taken these. In doubt a message is shown twice.
    static func left(of all: [String], after shown: [String]) -> [String] {
        // Later messages may have pushed out the first of those that were shown.
        let isFull = all.count == count || all.reduce(0) { $0 + $1.utf8.count } > bytes / 2
        for dropped in 0..<(isFull ? shown.count : 1) where all.starts(with: shown.dropFirst(dropped)) {
            return Array(all.dropFirst(shown.count - dropped))
        }
        return all
    }
}
