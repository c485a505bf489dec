// SPDX-License-Identifier: Apache-2.0

/// Encodes and decodes the attributes of one session, within its limits.
///
/// A value of its own, so that the closure of an update need not hold the session.
struct AttributeCoder: Sendable {
    let id: SessionID?
    let limits: SessionLimits
    let events: SessionEventSink

    /// Returns the bytes of a value.
    ///
    /// - Parameters:
    ///   - key: the attribute.
    ///   - value: its value.
    /// - Returns: the bytes, as they are stored.
    /// - Throws: `.invalidValue` when the value does not encode or nests too deep, `.tooLarge` when it alone passes
    ///   the limit.
    func encode<Value>(_ key: SessionKey<Value>, _ value: Value) throws(SessionError) -> [UInt8] {
        try checked(key, try SessionCodec.encode(key, value))
    }

    /// Returns the value of some bytes; nil, with an event, when they do not decode.
    func decode<Value>(_ key: SessionKey<Value>, _ bytes: [UInt8]) -> Value? {
        do { return try SessionCodec.decode(key, bytes) } catch {
            let detail = "the attribute \(key.name) does not decode as \(Value.self)"
            events.emit(SessionEvent(.undecodable, id, detail: detail))
            return nil
        }
    }

    /// Reads, changes and writes a value; keeps what the stored one holds and its type does not know.
    ///
    /// - Parameters:
    ///   - key: the attribute.
    ///   - bytes: its value as it is stored; nil for none.
    ///   - change: changes the value; nil removes it.
    /// - Returns: the changed value's bytes, and what `change` returned.
    /// - Throws: what `change` and `encode` throw, and `.invalidValue` for a stored value that does not decode:
    ///   another type may need it.
    func update<Value, Result>(
        _ key: SessionKey<Value>,
        _ bytes: [UInt8]?,
        _ change: (inout Value?) throws -> Result
    ) throws -> ([UInt8]?, Result) {
        let old = bytes.flatMap { decode(key, $0) }
        guard bytes == nil || old != nil else {
            throw SessionError(
                .invalidValue,
                "The stored value does not decode as \(Value.self); set or remove the attribute to replace it."
            )
        }
        var value = old
        let result = try change(&value)
        guard let value else { return (nil, result) }
        let new = try encode(key, value)
        guard let bytes, let old else { return (new, result) }
        let (stored, fresh) = (SessionCodec.split(bytes), SessionCodec.split(new))
        guard stored.version == fresh.version, stored.json.contains(UInt8(ascii: "{")) else {
            return (new, result)
        }
        let merged = SessionCodec.merged(Array(fresh.json), with: stored.json, decodedAs: old)
        return (try checked(key, Array(new.dropLast(fresh.json.count) + merged)), result)
    }

    private func checked<Value>(_ key: SessionKey<Value>, _ bytes: [UInt8]) throws(SessionError) -> [UInt8] {
        // Messages have bounds of their own: see `Session.flash`.
        guard key.name != SessionKey<[String]>.flash.name else { return bytes }
        try limits.check(bytes: key.name.utf8.count + bytes.count)
        return bytes
    }
}
