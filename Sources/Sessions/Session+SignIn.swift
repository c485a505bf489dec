// SPDX-License-Identifier: Apache-2.0

/// Signing in: who the user is, and what of the anonymous session stays.
extension Session {
    /// Records who the user is and replaces the secret, so that an earlier cookie is invalid (R08, R10).
    ///
    /// What the session held before is dropped, except flash messages and the attributes named here (R15).
    /// The lifetime restarts: this is an authentication.
    ///
    /// - Parameters:
    ///   - principal: the application's name for the user, 1 to 1,024 UTF-8 bytes.
    ///   - keys: attributes to carry over, for example `keeping: .cart, .language`.
    /// - Throws: `.invalidValue` for an impossible name, `.closed` after the commit.
    public func signIn<each Value>(
        as principal: String,
        keeping keys: repeat SessionKey<each Value>
    ) throws(SessionError) {
        var names: Set<String> = []
        repeat _ = names.insert((each keys).name)
        try signIn(principal, keeping: names)
    }

    /// Records who the user is and replaces the secret; for keys of one type that are known at run time only.
    ///
    /// - Parameters:
    ///   - principal: the application's name for the user, 1 to 1,024 UTF-8 bytes.
    ///   - keys: attributes to carry over.
    /// - Throws: `.invalidValue` for an impossible name, `.closed` after the commit.
    public func signIn<Value>(as principal: String, keeping keys: [SessionKey<Value>]) throws(SessionError) {
        try signIn(principal, keeping: Set(keys.map(\.name)))
    }

    private func signIn(_ principal: String, keeping names: Set<String>) throws(SessionError) {
        guard (1...1024).contains(principal.utf8.count) else {
            throw SessionError(.invalidValue, "A principal is 1 to 1024 bytes.")
        }
        let kept = names.union([SessionKey<[String]>.flash.name])
        try writeChecked(.signIn(principal: principal, keeping: kept))
        noteSignIn()
    }
}
