// SPDX-License-Identifier: Apache-2.0

import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdSessions

/// The few shapes that the routes answer with and store.
indirect enum JSON: Codable, Sendable {
    case null, bool(Bool), number(Int), text(String), list([JSON]), object([String: JSON])

    static func optional(_ text: String?) -> JSON { text.map { .text($0) } ?? .null }

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        // Texts first: they are the most frequent, and each failed attempt costs a thrown error.
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(String.self) {
            self = .text(value)
        } else if let value = try? container.decode(Bool.self) {
            self = .bool(value)
        } else if let value = try? container.decode(Int.self) {
            self = .number(value)
        } else if let value = try? container.decode([JSON].self) {
            self = .list(value)
        } else {
            self = .object(try container.decode([String: JSON].self))
        }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .null: try container.encodeNil()
        case .bool(let value): try container.encode(value)
        case .number(let value): try container.encode(value)
        case .text(let value): try container.encode(value)
        case .list(let value): try container.encode(value)
        case .object(let value): try container.encode(value)
        }
    }
}

func json(_ object: [String: JSON], status: HTTPResponse.Status = .ok) -> Response {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let data = (try? encoder.encode(object)) ?? Data("{}".utf8)
    return Response(
        status: status,
        headers: [.contentType: "application/json; charset=utf-8"],
        body: ResponseBody(byteBuffer: ByteBuffer(bytes: data))
    )
}

/// A refusal by a route, as JSON.
struct Problem: HTTPResponseError {
    let status: HTTPResponse.Status
    let code: String
    let message: String

    init(_ status: HTTPResponse.Status, _ code: String, _ message: String) {
        self.status = status
        self.code = code
        self.message = message
    }

    func response(from request: Request, context: some RequestContext) throws -> Response {
        json(["error": .text(code), "message": .text(message)], status: status)
    }
}

extension Request {
    func parameter(_ name: String, orEmpty: Bool = false) throws -> String {
        guard let value = uri.queryParameters.get(name), orEmpty || !value.isEmpty else {
            throw Problem(.badRequest, "bad-parameter", "\(name) is missing.")
        }
        return value
    }

    func key<Value>(_: Value.Type) throws -> SessionKey<Value> {
        do { return try SessionKey(validating: try parameter("k")) } catch let error as SessionError {
            throw Problem(.badRequest, "bad-parameter", error.message)
        }
    }

    func integer(_ name: String, default fallback: Int? = nil) throws -> Int {
        if let fallback, uri.queryParameters.get(name) == nil { return fallback }
        guard let number = Int(try parameter(name)) else {
            throw Problem(.badRequest, "bad-parameter", "\(name) is not a number.")
        }
        return number
    }
}
