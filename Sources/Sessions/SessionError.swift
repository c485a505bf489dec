// SPDX-License-Identifier: Apache-2.0

/// What went wrong in the session layer; compare by `code`.
public struct SessionError: Error, Equatable, CustomStringConvertible {
    /// The kind of failure; more may be added.
    public struct Code: Hashable, Sendable {
        private let name: String

        /// The configuration contradicts itself; the message names the mend.
        public static let invalidConfiguration = Self(name: "invalidConfiguration")
        /// Something is above its size limit.
        public static let tooLarge = Self(name: "tooLarge")
    }

    /// The kind of failure.
    public var code: Code
    /// One sentence for people; holds no secret.
    public var message: String

    /// An error with a sentence that holds no secret.
    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// The message.
    public var description: String { message }

    /// Equal when the codes are.
    public static func == (left: Self, right: Self) -> Bool { left.code == right.code }
}
