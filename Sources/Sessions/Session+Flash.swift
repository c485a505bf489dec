// SPDX-License-Identifier: Apache-2.0

/// Messages for the next page, kept as one attribute that a sign-in does not drop.
extension Session {
    /// Adds a message for the next page.
    ///
    /// - Parameter message: the text; a sign-in keeps it.
    /// - Throws: `.tooLarge` above `SessionLimits.bytes`, `.closed` after the commit.
    public func flash(_ message: String) throws { try update(.flash, default: []) { $0.append(message) } }

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
            // Messages that were added since are not shown yet: they stay. So do all if another request took
            // these.
            guard let all = stored, all.starts(with: messages) else { return }
            stored = all.count == messages.count ? nil : Array(all.dropFirst(messages.count))
        }
        return messages
    }
}

extension SessionKey where Value == [String] {
    /// Where flash messages are kept.
    static var flash: Self { Self(reserved: "@flash") }
}
