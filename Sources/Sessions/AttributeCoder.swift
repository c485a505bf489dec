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
    /// - Throws: `.invalidValue` when the value does not encode, `.tooLarge` when it alone passes the limit.
    func encode<Value>(_ key: SessionKey<Value>, _ value: Value) throws(SessionError) -> [UInt8] {
        let bytes = try SessionCodec.encode(value)
        try limits.check(bytes: key.name.utf8.count + bytes.count)
        return bytes
    }

    /// Returns the value of some bytes; nil, with an event, when they do not decode.
    func decode<Value>(_ key: SessionKey<Value>, _ bytes: [UInt8]) -> Value? {
        do { return try SessionCodec.decode(Value.self, from: bytes) } catch {
            let detail = "the attribute \(key.name) does not decode as \(Value.self)"
            events.emit(SessionEvent(.undecodable, id, detail: detail))
            return nil
        }
    }
}
