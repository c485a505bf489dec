// SPDX-License-Identifier: Apache-2.0

#if Configuration

    public import Configuration
    import ConfigurationSupport

    /// The seconds that a configuration may name: up to 100 years.
    private let seconds = 0...3_162_240_000

    extension SessionPolicy {
        /// Creates a policy from a reader of swift-configuration; needs the package trait `Configuration`.
        ///
        /// Reads once. The keys, relative to the reader; the properties of the same names say what they mean:
        ///
        /// | key | type | default |
        /// | --- | --- | --- |
        /// | `idleTimeoutSeconds` | int | 1800 |
        /// | `lifetimeSeconds` | int | 43200 |
        /// | `anonymousIdleTimeoutSeconds` | int | 600 |
        /// | `renewalIntervalSeconds` | int; 0: at sign-in only | 0 |
        /// | `renewalGraceSeconds` | int | 30 |
        /// | `endsOnTheft` | bool | false |
        /// | `maximumSessionsPerUser` | int; 0: no limit | 100 |
        ///
        /// - Parameter config: The reader, usually scoped: with `config.scoped(to: "sessions")` the first key is
        ///   `sessions.idleTimeoutSeconds`, in the environment `SESSIONS_IDLE_TIMEOUT_SECONDS`.
        /// - Throws: `.invalidConfiguration` for a value of another type and for what `validate()` refuses; the message names
        ///   the key or the property.
        public init(config: ConfigReader) throws(SessionError) {
            self.init()
            let values = ConfigValues(config, failure: SessionError.configuration)
            if let value = try values.integer("idleTimeoutSeconds", in: seconds) {
                idleTimeout = .seconds(value)
            }
            if let value = try values.integer("lifetimeSeconds", in: seconds) { lifetime = .seconds(value) }
            if let value = try values.integer("anonymousIdleTimeoutSeconds", in: seconds) {
                anonymousIdleTimeout = .seconds(value)
            }
            if let value = try values.integer("renewalIntervalSeconds", in: seconds) {
                renewalInterval = value == 0 ? nil : .seconds(value)
            }
            if let value = try values.integer("renewalGraceSeconds", in: seconds) {
                renewalGrace = .seconds(value)
            }
            endsOnTheft = try values.bool("endsOnTheft") ?? endsOnTheft
            if let value = try values.integer("maximumSessionsPerUser", in: 0...10_000) {
                maximumSessionsPerUser = value == 0 ? nil : value
            }
            try validate()
        }
    }

    extension SessionLimits {
        /// Creates limits from a reader of swift-configuration; needs the package trait `Configuration`.
        ///
        /// Reads once. The key, relative to the reader: `bytes` (int, 1 to 4,194,304, default 65536).
        ///
        /// - Parameter config: The reader, usually scoped, for example to `sessions.limits`.
        /// - Throws: `.invalidConfiguration` for a value of another type or out of range; the message names the key.
        public init(config: ConfigReader) throws(SessionError) {
            self.init()
            let values = ConfigValues(config, failure: SessionError.configuration)
            bytes = try values.integer("bytes", in: 1...4_194_304) ?? bytes
        }
    }

    extension SessionError {
        static func configuration(_ message: String) -> Self { Self(.invalidConfiguration, message) }
    }

#endif
