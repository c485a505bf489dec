// SPDX-License-Identifier: Apache-2.0

package import HTTPTypes

/// A response as a server has it: a head, into which the session writes its fields, and a body of any kind.
package protocol HeadedResponse {
    var head: HTTPResponse { get set }
}

extension RequestSession {
    /// Returns the response to an error of the handler or of `close`, with the session's header fields.
    ///
    /// What every adapter does with an error; see `closeAfterFailure`. The way of a response without an error is `run` and
    /// `close`, which adapters call themselves: a generic function around them would cost each request an allocation.
    ///
    /// - Parameters:
    ///   - error: the error.
    ///   - make: makes the response to it; nil for an error that is answered further outside.
    /// - Returns: the response, which may be sent.
    /// - Throws: `error` if it has no response, or if the session was not asked for: its response needs no field of the
    ///   session. Also what `closeAfterFailure` throws.
    package nonisolated(nonsending) func response<Response: HeadedResponse>(
        to error: any Error,
        _ make: (any Error) throws -> Response?
    ) async throws -> Response {
        guard isTouched, var response = try make(error) else {
            // What is outside makes the response, which this cannot change.
            var unused = HTTPResponse(status: .internalServerError)
            try await closeAfterFailure(&unused)
            throw error
        }
        try await closeAfterFailure(&response.head)
        return response
    }
}
