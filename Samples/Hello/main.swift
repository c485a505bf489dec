// SPDX-License-Identifier: Apache-2.0

import Hiredis
import Hummingbird
import HummingbirdSessions
import RedisSessions
import Sessions

extension SessionKey where Value == [String] {
    static var cart: Self { .init("cart") }
}

let redis = RedisClient(try RedisConfiguration(url: "redis://127.0.0.1"))
let sessions = try SessionManager(store: RedisSessionStore(redis), cookie: .plainHTTP())

let router = Router(context: BasicSessionRequestContext.self)
router.add(middleware: SessionMiddleware(sessions))

router.post("/cart/:item") { _, context in
    let item = try context.parameters.require("item")
    let session = try await context.session()
    try session.update(.cart, default: []) { $0.append(item) }
    return "\(session[.cart]?.count ?? 0) items\n"
}

router.get("/cart") { _, context in
    let cart = try await context.session()[.cart] ?? []
    return cart.joined(separator: ", ") + "\n"
}

var app = Application(router: router)
app.addServices(redis)
try await app.runService()
