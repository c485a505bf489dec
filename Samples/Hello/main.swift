// SPDX-License-Identifier: Apache-2.0

import Hummingbird
import HummingbirdSessions
import RedisSessions

extension SessionKey where Value == [String] {
    static var cart: Self { .init("cart") }
}

let redis = RedisClient(try RedisConfiguration(url: "redis://127.0.0.1"))
let store = try RedisSessionStore(redis, application: "hello")
let sessions = try SessionManager(store: store)

let router = Router(context: BasicSessionsRequestContext.self)
router.add(middleware: CrossOriginProtectionMiddleware())
router.add(middleware: SessionsMiddleware(sessions))

router.post("/cart/:item") { _, context in
    let item = try context.parameters.require("item")
    let session = try await context.session()  // one round trip, and none without a cookie
    try session.update(.cart, default: []) { $0.append(item) }  // no parallel update is lost
    return "\(item) is in the cart\n"
}

router.get("/cart") { _, context in
    let session = try await context.session()
    return (session[.cart] ?? []).joined(separator: ", ") + "\n"
}

let app = Application(router: router, services: [redis])
try await app.runService()
