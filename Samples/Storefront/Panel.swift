// SPDX-License-Identifier: Apache-2.0

import HummingbirdSessions
import Sessions

/// What stands beside the shop: what just happened, by what was measured and stored.
struct Panel: Sendable {
    let instance: String
    let strategy: Strategy
    let cookieName: String
    /// Nil on a page that does not know it, because something failed.
    let session: Session?
    let receipt: Receipt
    let demo: Demo?

    /// One part of the cookie's value: what it is called, what it means, how long it is; never a secret.
    struct CookiePart {
        let name: String
        let meaning: String
        let length: Int
        /// What may be shown.
        var text: String?
    }

    /// The parts of a cookie, as the strategy makes them.
    func parts(of value: String) -> [CookiePart] {
        let pieces = value.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        if strategy == .sealed, pieces.count == 3 {
            return [
                CookiePart(
                    name: "format",
                    meaning: "what is sealed, in which version",
                    length: pieces[0].count,
                    text: pieces[0]
                ),
                CookiePart(
                    name: "key",
                    meaning: "which key seals it",
                    length: pieces[1].count,
                    text: pieces[1]
                ),
                CookiePart(
                    name: "sealed payload",
                    meaning: "the whole session, encrypted: this server keeps nothing",
                    length: pieces[2].count
                ),
            ]
        }
        guard pieces.count >= 2 else { return [] }
        var parts = [
            CookiePart(
                name: "handle",
                meaning: "names the record; safe to show",
                length: pieces[0].count,
                text: pieces[0]
            ),
            CookiePart(
                name: "secret",
                meaning: "opens it; the server keeps only a keyed hash",
                length: pieces[1].count
            ),
        ]
        if pieces.count == 3 {
            parts.append(
                CookiePart(
                    name: "version",
                    meaning: "no instance may show you an older state",
                    length: pieces[2].count,
                    text: pieces[2]
                )
            )
        }
        return parts
    }
}
