// SPDX-License-Identifier: Apache-2.0

public import FlyingFox
import Foundation
import HTTPTypes
// Handlers name sessions, keys and errors: one import is enough for them.
@_exported public import Sessions

extension SessionManager {
    /// Answers a request of FlyingFox with a handler that may ask for the session.
    ///
    /// FlyingFox keeps the last of several `Cookie` lines; browsers send one.
    ///
    /// - Parameters:
    ///   - request: the request.
    ///   - response: makes the response to an error of the application; nil throws it.
    ///   - handler: makes the response.
    /// - Returns: the response, which may be sent.
    /// - Throws: errors that have no response.
    public func respond(
        to request: FlyingFox.HTTPRequest,
        toError response: (any Error) -> FlyingFox.HTTPResponse? = { _ in nil },
        _ handler: (RequestSession) async throws -> FlyingFox.HTTPResponse
    ) async throws -> FlyingFox.HTTPResponse {
        let (head, payload) = try await respond(
            to: HTTPTypes.HTTPRequest(request),
            client: request.remoteAddress?.host,
            toError: { response($0).map { (HTTPTypes.HTTPResponse($0), $0.payload) } },
            errorBody: { .httpBody(HTTPBodySequence(data: Data($0.utf8))) },
            { context in
                let response = try await handler(context)
                return (HTTPTypes.HTTPResponse(response), response.payload)
            }
        )
        return FlyingFox.HTTPResponse(head, payload)
    }
}

extension FlyingFox.HTTPRequest.Address {
    fileprivate var host: String? {
        switch self {
        case .ip4(let host, _), .ip6(let host, _): host
        case .unix: nil
        }
    }
}

extension HTTPTypes.HTTPRequest {
    /// The head of a request as FlyingFox has read it.
    fileprivate init(_ request: FlyingFox.HTTPRequest) {
        self.init(
            method: Method(request.method.rawValue) ?? .post,
            scheme: "http",
            authority: request.headers[.host],
            path: request.target.rawValue,
            headerFields: HTTPFields(request.headers)
        )
    }
}

extension HTTPTypes.HTTPResponse {
    fileprivate init(_ response: FlyingFox.HTTPResponse) {
        self.init(
            status: Status(code: response.statusCode.code, reasonPhrase: response.statusCode.phrase),
            headerFields: HTTPFields(response.headers)
        )
    }
}

extension FlyingFox.HTTPResponse {
    init(_ head: HTTPTypes.HTTPResponse, _ payload: Payload) {
        self.init(statusCode: HTTPStatusCode(head.status.code, phrase: head.status.reasonPhrase))
        for field in head.headerFields {
            headers.addValue(field.value, for: HTTPHeader(field.name.rawName))
        }
        self.payload = payload
    }
}

extension HTTPFields {
    fileprivate init(_ headers: HTTPHeaders) {
        self.init()
        for (header, value) in headers {
            guard let name = HTTPField.Name(header.rawValue) else { continue }
            append(HTTPField(name: name, value: value))
        }
    }
}
