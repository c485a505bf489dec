// SPDX-License-Identifier: Apache-2.0

/// The value of the session cookie, whatever the store made it of.
///
/// A secret: it prints as `SessionCredential(…)`.
public struct SessionCredential: Sendable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    /// The cookie's value.
    public let value: String

    /// Wraps a cookie value.
    public init(_ value: String) { self.value = value }

    /// The text for logs and messages; holds no secret.
    public var description: String { "SessionCredential(…)" }
    /// The same as `description`.
    public var debugDescription: String { description }
    /// Hides the value from `dump` and debuggers.
    public var customMirror: Mirror { Mirror(self, children: []) }
}
