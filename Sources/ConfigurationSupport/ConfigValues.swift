// SPDX-License-Identifier: Apache-2.0

#if Configuration

    package import Configuration

    /// The values of a configuration, read so that a wrong one is an error and not a default.
    ///
    /// Messages name the key, relative to the reader, and quote no value: it could be a secret.
    package struct ConfigValues<Failure: Error> {
        private let config: ConfigReader
        private let failure: (String) -> Failure

        /// - Parameters:
        ///   - config: The reader, scoped to the keys.
        ///   - failure: Makes the module's error from a message.
        package init(_ config: ConfigReader, failure: @escaping (String) -> Failure) {
            self.config = config
            self.failure = failure
        }

        /// Returns a text that is not empty; nil when no provider has the key.
        package func string(_ key: String, isSecret: Bool = false) throws(Failure) -> String? {
            let text = try value(key, "must be a text", isSecret: isSecret) {
                try config.requiredString(forKey: $0, isSecret: $1)
            }
            guard text != "" else { throw wrong(key, "is empty; leave it out instead") }
            return text
        }

        /// Returns a whole number in a range; nil when no provider has the key.
        package func integer(_ key: String, in range: ClosedRange<Int>) throws(Failure) -> Int? {
            let rule = "must be a whole number from \(range.lowerBound) to \(range.upperBound)"
            let number = try value(key, rule) { try config.requiredInt(forKey: $0, isSecret: $1) }
            if let number, !range.contains(number) { throw wrong(key, rule) }
            return number
        }

        /// Returns a truth value; nil when no provider has the key.
        package func bool(_ key: String) throws(Failure) -> Bool? {
            try value(key, "must be true or false") { try config.requiredBool(forKey: $0, isSecret: $1) }
        }

        /// Returns a list of texts; nil when no provider has the key.
        package func strings(_ key: String, isSecret: Bool) throws(Failure) -> [String]? {
            try value(key, "must be a list of texts", isSecret: isSecret) {
                try config.requiredStringArray(forKey: $0, isSecret: $1)
            }
        }

        /// Returns the error for a key whose value breaks a rule.
        package func wrong(_ key: String, _ rule: String) -> Failure {
            failure("the configuration key `\(key)` \(rule)")
        }

        private func value<Value>(
            _ key: String,
            _ rule: String,
            isSecret: Bool = false,
            _ read: (ConfigKey, Bool) throws -> Value
        ) throws(Failure) -> Value? {
            do { return try read(ConfigKey(key), isSecret) } catch {
                guard isPresent(ConfigKey(key), isSecret) else { return nil }
                throw wrong(key, rule)
            }
        }

        /// Whether a provider has the key with a value of any type.
        ///
        /// The reader's methods do not tell a missing value from one of another type: the optional ones return nil for
        /// both, and the error of the required ones is not public.
        private func isPresent(_ key: ConfigKey, _ isSecret: Bool) -> Bool {
            config.string(forKey: key, isSecret: isSecret) != nil
                || config.int(forKey: key, isSecret: isSecret) != nil
                || config.double(forKey: key, isSecret: isSecret) != nil
                || config.bool(forKey: key, isSecret: isSecret) != nil
                || config.bytes(forKey: key, isSecret: isSecret) != nil
                || config.stringArray(forKey: key, isSecret: isSecret) != nil
                || config.intArray(forKey: key, isSecret: isSecret) != nil
                || config.doubleArray(forKey: key, isSecret: isSecret) != nil
                || config.boolArray(forKey: key, isSecret: isSecret) != nil
        }
    }

#endif
