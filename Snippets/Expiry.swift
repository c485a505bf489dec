// SPDX-License-Identifier: Apache-2.0

import Sessions

/// Sessions of a shop: 20 minutes without a request, 8 hours in all, and a cookie that survives the browser.
func sessions(in store: any SessionStore) throws -> SessionManager {
    let policy = SessionPolicy(idleTimeout: .seconds(20 * 60), lifetime: .seconds(8 * 3600))
    return try SessionManager(
        store: store,
        policy: policy,
        cookie: SessionCookie(persistence: .persistent)
    )
}

/// Sessions that end after 24 hours, or after an hour without a request.
func restrictedSessions(in store: any SessionStore) throws -> SessionManager {
    try SessionManager(store: store, policy: .aal2)
}
