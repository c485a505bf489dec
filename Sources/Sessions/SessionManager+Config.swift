// SPDX-License-Identifier: Apache-2.0

#if Configuration

    public import Configuration
    public import Logging

    extension SessionManager {
        /// Creates a manager from a reader of swift-configuration; needs the package trait `Configuration`.
        ///
        /// Reads once: the keys of `SessionPolicy.init(config:)`, those of `SessionCookie.init(config:)` below `cookie`, as in
        /// `cookie.name`, and `limits.bytes` of `SessionLimits.init(config:)`. All have defaults.
        ///
        /// - Parameters:
        ///   - store: where the sessions are kept.
        ///   - config: the reader, usually scoped: with `config.scoped(to: "sessions")` the cookie's name is
        ///     `sessions.cookie.name`, in the environment `SESSIONS_COOKIE_NAME`.
        ///   - logger: gets one line for each event; see `init(store:policy:cookie:limits:logger:onEvent:mayCreate:)`.
        ///   - onEvent: gets every event.
        ///   - mayCreate: decides whether a session that does not exist yet may be stored.
        /// - Throws: `.invalidConfiguration`; the message names the key or the property, and says what to change.
        public convenience init(
            store: any SessionStore,
            config: ConfigReader,
            logger: Logger = Logger(label: "sessions"),
            onEvent: (@Sendable (SessionEvent) -> Void)? = nil,
            mayCreate: (@Sendable (NewSession) async -> Bool)? = nil
        ) throws(SessionError) {
            try self.init(
                store: store,
                policy: SessionPolicy(config: config),
                cookie: SessionCookie(config: config.scoped(to: "cookie")),
                limits: SessionLimits(config: config.scoped(to: "limits")),
                logger: logger,
                onEvent: onEvent,
                mayCreate: mayCreate
            )
        }
    }

#endif
