// SPDX-License-Identifier: Apache-2.0

#if Telemetry

    public import Logging
    public import Sessions

    extension SessionManager {
        /// Creates a manager whose store is measured and whose events are counted.
        ///
        /// - Parameters:
        ///   - store: where the sessions are kept.
        ///   - telemetry: where metrics and spans go; give it to the application's services as well.
        ///   - policy: the expiry rules; see the initialiser without telemetry for this and the others.
        ///   - cookie: the cookie.
        ///   - limits: how much one session may hold.
        ///   - logger: gets one line for each event.
        ///   - onEvent: gets every event, once it is counted.
        ///   - mayCreate: decides whether a session that does not exist yet may be stored.
        /// - Throws: `.invalidConfiguration`; the message says what to change.
        public convenience init(
            store: some SessionStore,
            telemetry: SessionTelemetry,
            policy: SessionPolicy = SessionPolicy(),
            cookie: SessionCookie = SessionCookie(),
            limits: SessionLimits = SessionLimits(),
            logger: Logger = Logger(label: "sessions"),
            onEvent: (@Sendable (SessionEvent) -> Void)? = nil,
            mayCreate: (@Sendable (NewSession) async -> Bool)? = nil
        ) throws(SessionError) {
            try self.init(
                store: telemetry.observe(store),
                policy: policy,
                cookie: cookie,
                limits: limits,
                logger: logger,
                onEvent: { event in
                    telemetry.record(event)
                    onEvent?(event)
                },
                mayCreate: mayCreate
            )
        }
    }

#endif
