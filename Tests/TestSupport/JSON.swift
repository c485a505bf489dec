// SPDX-License-Identifier: Apache-2.0

/// A parsed JSON value whose parts are reached without ceremony: `reply.json["values"]["k"]`.
public enum JSON: Decodable, Sendable, Equatable {
    case null
    case bool(Bool)
    case number(Double)
    case string(String)
    case array([JSON])
    case object([String: JSON])

    /// Reads whatever is there.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .bool(value)
        } else if let value = try? container.decode(Double.self) {
            self = .number(value)
        } else if let value = try? container.decode(String.self) {
            self = .string(value)
        } else if let value = try? container.decode([JSON].self) {
            self = .array(value)
        } else {
            self = .object(try container.decode([String: JSON].self))
        }
    }

    /// A member; null when this is no object or has no such member.
    public subscript(name: String) -> JSON { object[name] ?? .null }

    /// The members; empty when this is no object.
    public var object: [String: JSON] { if case .object(let members) = self { members } else { [:] } }

    /// The elements; empty when this is no array.
    public var array: [JSON] { if case .array(let elements) = self { elements } else { [] } }

    /// The text; nil when this is no string.
    public var string: String? { if case .string(let text) = self { text } else { nil } }

    /// The number; nil when this is none, or not a whole one.
    public var int: Int? { if case .number(let number) = self { Int(exactly: number) } else { nil } }

    /// The truth value; nil when this is none.
    public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
}
