// SPDX-License-Identifier: Apache-2.0

public import HTTPTypes

extension SessionError {
    /// The status an HTTP adapter answers with for an error that was not handled: 400, 409, 413, 429, 501,
    /// 503 or 500.
    public var status: HTTPResponse.Status {
        switch code {
        case .conflict, .sessionChanged: .conflict
        case .tooLarge: .contentTooLarge
        case .invalidValue: .badRequest
        case .creationRefused: .tooManyRequests
        case .unsupported: .notImplemented
        case .storeUnavailable, .storeFull: .serviceUnavailable
        default: .internalServerError
        }
    }

    /// The header fields that go with `status`: never cacheable, with `Retry-After` for an outage.
    public var headers: HTTPFields {
        var fields: HTTPFields = [.contentType: "application/json; charset=utf-8", .cacheControl: "no-store"]
        if status == .serviceUnavailable { fields[.retryAfter] = "1" }
        return fields
    }

    /// The body that goes with `status`: JSON with the code and a fixed sentence, never the message itself.
    public var body: String {
        let sentence =
            switch status {
            case _ where code == .sessionChanged:
                "The session ended or changed hands during this request; nothing was stored. Load the page again."
            case .serviceUnavailable: "Sessions cannot be reached at the moment; try again."
            case .conflict: "The session was changed at the same time; try again."
            case .tooManyRequests: "Too many new sessions; try again later."
            case .contentTooLarge: "The session would hold too much; nothing was stored."
            case .badRequest: "The value cannot be stored in the session."
            case .notImplemented: "The way sessions are kept here does not allow this."
            default: "The session could not be used."
            }
        return #"{"error":"\#(code)","message":"\#(sentence)"}"#
    }
}
