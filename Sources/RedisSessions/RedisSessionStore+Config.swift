// SPDX-License-Identifier: Apache-2.0

#if Configuration

    public import Configuration
    import ConfigurationSupport

    extension RedisSessionStore {
        /// Creates a store from a reader of swift-configuration; needs the package trait `Configuration`.
        ///
        /// Opens no connection and reads once. The keys, relative to the reader:
        ///
        /// | key | type | default | meaning |
        /// | --- | --- | --- | --- |
        /// | `application` | string | required | The name of the application, the same on all instances |
        /// | `peppers` | list of strings, secret | none | Base64 or base64url; `none` stands for `SessionPepper.none`; the first one writes |
        /// | `durability.replicas` | int, 0 to 100 | 0 | The replicas that sign-ins and sign-outs wait for |
        /// | `durability.onDisk` | bool | false | Whether append-only files are waited for, the primary's too |
        /// | `durability.withinMilliseconds` | int | 200 | How long they wait; less than the client's command timeout |
        /// | `reads.replicas` | bool | false | Whether sessions are read from replicas |
        /// | `reads.maximumAgeMilliseconds` | int, 100 to 60,000 | 1000 | How old what is read may be; see `SessionReads` |
        ///
        /// - Parameters:
        ///   - redis: the client; it connects with the first command, or earlier when run as a service.
        ///   - config: the reader, usually scoped: with `config.scoped(to: "sessions")` the first key is
        ///     `sessions.application`, in the environment `SESSIONS_APPLICATION`.
        /// - Throws: `.invalidConfiguration` for a value that is missing, of another type or out of range, and for what the other
        ///   initialiser refuses; the message names the key or the option, and quotes no value.
        public init(_ redis: RedisClient, config: ConfigReader) throws(SessionError) {
            let values = ConfigValues(config) { SessionError(.invalidConfiguration, $0) }
            guard let application = try values.string("application") else {
                throw values.wrong("application", "is missing")
            }
            try self.init(
                redis,
                application: application,
                peppers: Self.peppers(values),
                durability: Self.durability(values),
                reads: Self.reads(values)
            )
        }

        private static func peppers(_ values: ConfigValues<SessionError>) throws(SessionError)
            -> [SessionPepper]
        {
            var peppers: [SessionPepper] = []
            for text in try values.strings("peppers", isSecret: true) ?? [] {
                guard text != "none" else {
                    peppers.append(.none)
                    continue
                }
                let canonical = text.replacing("+", with: "-").replacing("/", with: "_")
                let end =
                    canonical.lastIndex { $0 != "=" }.map(canonical.index(after:)) ?? canonical.startIndex
                guard let bytes = Base64URL.decode(canonical[..<end].utf8) else {
                    throw values.wrong(
                        "peppers",
                        "has a pepper, number \(peppers.count + 1), that is not base64"
                    )
                }
                do { peppers.append(try SessionPepper(bytes)) } catch {
                    throw values.wrong("peppers", "is wrong at number \(peppers.count + 1): \(error.message)")
                }
            }
            return peppers
        }

        private static func durability(_ values: ConfigValues<SessionError>) throws(SessionError)
            -> SessionDurability
        {
            let replicas = try values.integer("durability.replicas", in: 0...100) ?? 0
            let isOnDisk = try values.bool("durability.onDisk") ?? false
            let within = try values.integer("durability.withinMilliseconds", in: 1...3_600_000)
            if isOnDisk { return .appendOnlyFiles(replicas: replicas, within: .milliseconds(within ?? 200)) }
            if replicas > 0 { return .replicas(replicas, within: .milliseconds(within ?? 200)) }
            guard within == nil else {
                throw values.wrong(
                    "durability.withinMilliseconds",
                    "needs `durability.replicas` or `durability.onDisk`"
                )
            }
            return .primary
        }

        private static func reads(_ values: ConfigValues<SessionError>) throws(SessionError) -> SessionReads {
            let maximumAge = try values.integer("reads.maximumAgeMilliseconds", in: 100...60_000)
            if try values.bool("reads.replicas") == true {
                return .replicas(maximumAge: .milliseconds(maximumAge ?? 1000))
            }
            guard maximumAge == nil else {
                throw values.wrong("reads.maximumAgeMilliseconds", "needs `reads.replicas`")
            }
            return .primary
        }
    }

#endif
