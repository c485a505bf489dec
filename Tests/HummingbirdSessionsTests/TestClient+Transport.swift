// SPDX-License-Identifier: Apache-2.0

import Hummingbird
import HummingbirdTesting
import SessionsTesting

extension TestClientProtocol {
    /// Carries a visitor's requests to the application under test.
    var transport: Visitor.Transport {
        { request, body in
            let response = try await self.execute(
                uri: request.path ?? "/",
                method: request.method,
                headers: request.headerFields,
                body: ByteBuffer(bytes: body)
            )
            return (response.head, Array(buffer: response.body))
        }
    }
}
