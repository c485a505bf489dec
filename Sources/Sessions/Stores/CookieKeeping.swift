// SPDX-License-Identifier: Apache-2.0

/// What the manager must know of a store that keeps sessions, or a part of them, in the cookie.
package protocol CookieKeeping {
    /// The names of the cookies that its seals hold for; empty when it has none.
    ///
    /// The manager's cookie must be one of them.
    var cookieNames: Set<String> { get }

    /// Whether to end this session means to delete its cookie and nothing else.
    func endsWithItsCookie(_ record: SessionRecord) -> Bool
}
