// SPDX-License-Identifier: Apache-2.0

import Hummingbird
import HummingbirdSessions

// The code of the guide "Errors, one by one".

func addWelcome(to router: Router<BasicSessionsRequestContext>) {
    router.get("/welcome") { _, context in
        do {
            let session = try await context.session()
            return "Hello, \(session.principal ?? "visitor")\n"
        } catch let error as SessionError where error.code == .storeUnavailable {
            return "Hello\n"
        }
    }
}
