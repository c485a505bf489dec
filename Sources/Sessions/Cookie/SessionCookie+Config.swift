// SPDX-License-Identifier: Apache-2.0

#if Configuration

    public import Configuration
    import ConfigurationSupport

    extension SessionCookie {
        /// Creates a cookie from a reader of swift-configuration; needs the package trait `Configuration`.
        ///
        /// Reads once. The keys, relative to the reader; the properties of the same names say what they mean:
        ///
        /// | key | type | default |
        /// | --- | --- | --- |
        /// | `name` | string | `__Host-session`; `session` if `isSecure` is false |
        /// | `path` | string | `/` |
        /// | `domain` | string | none |
        /// | `isSecure` | bool; false in development without TLS | true |
        /// | `sameSite` | string: `strict`, `lax` or `none` | `lax` |
        /// | `isPartitioned` | bool | false |
        /// | `isPersistent` | bool: `persistence` is `persistent` | false |
        /// | `hidesPagesAfterSignOut` | bool | true |
        ///
        /// - Parameter config: The reader, usually scoped: with `config.scoped(to: "sessions.cookie")` the first key is
        ///   `sessions.cookie.name`, in the environment `SESSIONS_COOKIE_NAME`.
        /// - Throws: `.invalidConfiguration` for a value of another type and for what `validate()` refuses; the message says
        ///   what to change.
        public init(config: ConfigReader) throws(SessionError) {
            let values = ConfigValues(config, failure: SessionError.configuration)
            self = try values.bool("isSecure") == false ? .plainHTTP() : Self()
            name = try values.string("name") ?? name
            path = try values.string("path") ?? path
            domain = try values.string("domain")
            if let text = try values.string("sameSite") {
                let known: [String: SameSite] = ["strict": .strict, "lax": .lax, "none": .none]
                guard let value = known[text.lowercased()] else {
                    throw values.wrong("sameSite", "must be strict, lax or none")
                }
                sameSite = value
            }
            isPartitioned = try values.bool("isPartitioned") ?? isPartitioned
            if try values.bool("isPersistent") == true { persistence = .persistent }
            hidesPagesAfterSignOut = try values.bool("hidesPagesAfterSignOut") ?? hidesPagesAfterSignOut
            try validate()
        }
    }

#endif
