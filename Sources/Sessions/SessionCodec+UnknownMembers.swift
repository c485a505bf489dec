// SPDX-License-Identifier: Apache-2.0

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// What a stored value holds and its type does not know is kept through a change of the value.
extension SessionCodec {
    /// Returns the JSON of a changed value together with the members that only the stored one has.
    ///
    /// Costs nothing for a value without an object in it, and one more encoding where nothing is unknown. Members
    /// that would change what the type reads, for example an earlier name of a property, are left out.
    ///
    /// - Parameters:
    ///   - new: the JSON of the changed value.
    ///   - stored: the JSON that was stored.
    ///   - old: the value that it decodes as.
    /// - Returns: the JSON to store.
    static func merged<Value: Codable>(
        _ new: [UInt8],
        with stored: ArraySlice<UInt8>,
        decodedAs old: Value
    ) -> [UInt8] {
        guard stored.contains(UInt8(ascii: "{")), let known = try? encode(old),
            !known.elementsEqual(stored), let before = try? JSONTree(stored),
            let type = try? JSONTree(known[...]),
            var tree = try? JSONTree(new[...])
        else { return new }
        tree.adopt(before, unlike: type)
        guard let merged = try? encode(tree),
            let read = try? encode(decode(Value.self, from: merged)), read == new
        else { return new }
        return merged
    }
}

/// Any JSON value; numbers keep all of their digits where a decimal can.
private enum JSONTree: Hashable, Codable {
    case null
    case bool(Bool)
    case integer(Int64)
    case unsigned(UInt64)
    case decimal(Decimal)
    case double(Double)
    case text(String)
    case list([JSONTree])
    case object([String: JSONTree])

    init(_ json: ArraySlice<UInt8>) throws { self = try SessionCodec.decode(Self.self, from: json) }

    init(from decoder: any Decoder) throws {
        let value = try decoder.singleValueContainer()
        if value.decodeNil() {
            self = .null
        } else if let object = try? value.decode([String: JSONTree].self) {
            self = .object(object)
        } else if let list = try? value.decode([JSONTree].self) {
            self = .list(list)
        } else if let text = try? value.decode(String.self) {
            self = .text(text)
        } else if let bool = try? value.decode(Bool.self) {
            self = .bool(bool)
        } else if let integer = try? value.decode(Int64.self) {
            self = .integer(integer)
        } else if let unsigned = try? value.decode(UInt64.self) {
            self = .unsigned(unsigned)
        } else if let decimal = try? value.decode(Decimal.self) {
            self = .decimal(decimal)
        } else {
            self = .double(try value.decode(Double.self))
        }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .null: try container.encodeNil()
        case .bool(let value): try container.encode(value)
        case .integer(let value): try container.encode(value)
        case .unsigned(let value): try container.encode(value)
        case .decimal(let value): try container.encode(value)
        case .double(let value): try container.encode(value)
        case .text(let value): try container.encode(value)
        case .list(let value): try container.encode(value)
        case .object(let value): try container.encode(value)
        }
    }

    /// Adds the members that `stored` has and `known`, the same value as its type writes it, has not.
    ///
    /// Elements of a list are recognised by their content, changed ones by their place in a list of equal length.
    mutating func adopt(_ stored: JSONTree, unlike known: JSONTree) {
        switch (self, stored, known) {
        case (.object(var members), .object(let stored), .object(let known)):
            for (name, value) in stored {
                if let type = known[name] {
                    members[name]?.adopt(value, unlike: type)
                } else if members[name] == nil {
                    members[name] = value
                }
            }
            self = .object(members)
        case (.list(var elements), .list(let stored), .list(let known)) where stored.count == known.count:
            var places = Dictionary(grouping: known.indices.reversed(), by: { known[$0] })
            for index in elements.indices {
                let place = places[elements[index]]?.popLast()
                guard let place = place ?? (elements.count == known.count ? index : nil) else { continue }
                elements[index].adopt(stored[place], unlike: known[place])
            }
            self = .list(elements)
        default: break
        }
    }
}
