// SPDX-License-Identifier: Apache-2.0

import Sessions

@testable import RedisSessions

extension SessionRecord {
    /// The credential that the record was loaded with.
    var credential: SessionCredential {
        switch storeContext {
        case let presented as PresentedToken: presented.token.credential
        case let context as ReplicatedSessionStore.Context: context.presented.token.credential
        default: SessionCredential("")
        }
    }
}
