// SPDX-License-Identifier: Apache-2.0

package import Crypto

/// One key that seals cookies: a name that travels in them, and 32 random bytes that never do.
///
/// Make one with `openssl rand 32 | basenc --base64url | tr -d '='`. Prints as its name.
public struct SealKey: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The name: 1 to 32 of `A-Z a-z 0-9 _ -`.
    ///
    /// Not a secret. Never give it to another key.
    public let id: String
    package let secret: SymmetricKey

    /// Creates a key.
    ///
    /// - Parameters:
    ///   - id: 1 to 32 of `A-Z a-z 0-9 _ -`.
    ///   - bytes: 32 bytes from a random generator.
    /// - Throws: `.invalidConfiguration` for another length, for a password (printable characters only) and
    ///   for one repeated byte (R62).
    public init(id: String, bytes: [UInt8]) throws(SessionError) {
        guard Self.isID(Array(id.utf8)[...]) else {
            throw Self.refusal("its name must be 1 to 32 letters, digits, - or _")
        }
        guard bytes.count == 32 else { throw Self.refusal("it has \(bytes.count) bytes instead of 32") }
        if let weakness = RandomBytes.weakness(of: bytes) { throw Self.refusal(weakness) }
        self.id = id
        secret = SymmetricKey(data: bytes)
    }

    /// The text for logs and messages; holds no secret.
    public var description: String { "SealKey(\(id))" }
    /// The same as `description`.
    public var debugDescription: String { description }
    /// Hides the key from `dump` and debuggers.
    public var customMirror: Mirror { Mirror(self, children: ["id": id]) }

    static func isID(_ bytes: ArraySlice<UInt8>) -> Bool {
        (1...32).contains(bytes.count)
            && bytes.allSatisfy {
                ASCII.isAlphanumeric($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_")
            }
    }

    private static func refusal(_ reason: String) -> SessionError {
        SessionError(.invalidConfiguration, "A seal key cannot be used: \(reason).")
    }
}

/// The keys that seal and open cookies: the first seals, all of them open.
///
/// To change keys without signing any user out: put the new key *behind* the old one on every instance, then
/// in front of it on every instance, and remove the old one when the longest session lifetime has passed. A
/// cookie that was sealed with another key than the first is sealed anew with the next response. Removing a
/// key ends every session sealed with it, which is also the way to sign all users out. Exactly one key is
/// tried for a cookie: the one it names (R63).
public struct SealKeyRing: Sendable, CustomStringConvertible, CustomReflectable {
    private let keys: [SealKey]

    /// Creates a ring.
    ///
    /// - Parameter keys: 1 to 16 keys; the first one seals.
    /// - Throws: `.invalidConfiguration` for no key, too many, or two of one name.
    public init(_ keys: [SealKey]) throws(SessionError) {
        guard (1...16).contains(keys.count) else {
            throw SessionError(
                .invalidConfiguration,
                "A ring of seal keys needs 1 to 16 keys; it has \(keys.count)."
            )
        }
        guard Set(keys.map(\.id)).count == keys.count else {
            throw SessionError(
                .invalidConfiguration,
                "Two seal keys have the same name; use a name only once, ever."
            )
        }
        self.keys = keys
    }

    /// Reads a ring from configuration.
    ///
    /// - Parameter text: `ID:KEY,ID:KEY…`, each key 32 bytes as base64url without padding.
    /// - Throws: `.invalidConfiguration` with the position of the mistake; never with any part of the text.
    public init(parsing text: String) throws(SessionError) { try self.init(Self.parse(text)) }

    /// The names of the keys, the sealing one first.
    public var ids: [String] { keys.map(\.id) }

    /// The key that seals.
    package var sealing: SealKey { keys[0] }

    /// Returns the key of this name.
    package func key(_ id: String) -> SealKey? { keys.first { $0.id == id } }

    /// The text for logs and messages; holds no secret.
    public var description: String { "SealKeyRing(\(ids.joined(separator: ", ")))" }
    /// Hides the keys from `dump` and debuggers.
    public var customMirror: Mirror { Mirror(self, children: ["ids": ids]) }

    private static func parse(_ text: String) throws(SessionError) -> [SealKey] {
        let entries = text.utf8.split(
            separator: UInt8(ascii: ","),
            maxSplits: 16,
            omittingEmptySubsequences: false
        )
        var keys: [SealKey] = []
        for (position, entry) in entries.enumerated() {
            let place = "Seal key \(position + 1) of \(entries.count)"
            let parts = Array(entry).split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
            guard parts.count == 2 else {
                throw SessionError(.invalidConfiguration, "\(place) does not have the form ID:KEY.")
            }
            guard let bytes = Base64URL.decode(parts[1]) else {
                throw SessionError(
                    .invalidConfiguration,
                    "\(place): the key is not base64url without padding."
                )
            }
            do { keys.append(try SealKey(id: String(decoding: parts[0], as: UTF8.self), bytes: bytes)) } catch
            {
                throw SessionError(.invalidConfiguration, "\(place): \(error.message)")
            }
        }
        return keys
    }
}
