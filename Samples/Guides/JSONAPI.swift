// SPDX-License-Identifier: Apache-2.0

import Hummingbird
import HummingbirdSessions

// The code of the guide "JSON APIs".

extension SessionKey where Value == [String: Int] {
    static var basket: Self { .init("basket") }
}

extension SessionKey where Value == Int {
    static var coupons: Self { .init("coupons") }
}

struct Amount: Decodable {
    let count: Int
}

struct Basket: ResponseEncodable {
    let items: [String: Int]
}

struct Unread: ResponseEncodable {
    let count: Int
}

func addAPI(to api: RouterGroup<BasicSessionsRequestContext>) {
    api.get("/basket") { _, context in
        Basket(items: try await context.session()[.basket] ?? [:])
    }

    api.put("/basket/:item") { request, context in
        let item = try context.parameters.require("item")
        let amount = try await request.decode(as: Amount.self, context: context)
        try await context.session().update(.basket, default: [:]) { items in
            guard items.count < 50 || items[item] != nil else {
                throw HTTPError(.unprocessableContent, message: "The basket is full.")
            }
            items[item] = amount.count
        }
        return Response(status: .noContent)
    }

    api.post("/basket/:item") { _, context in
        let item = try context.parameters.require("item")
        let items = try await context.session().updateNow(.basket, default: [:]) { items in
            items[item, default: 0] += 1
            return items
        }
        return Basket(items: items)
    }

    api.post("/coupons") { _, context in
        let session = try await context.session()
        guard session.principal != nil else { throw HTTPError(.unauthorized) }
        let used = try await session.updateNow(.coupons, default: 0) { used in
            used += 1
            return used
        }
        guard used <= 3 else { throw HTTPError(.tooManyRequests) }
        return Response(status: .created)
    }

    api.get("/unread") { _, context in
        let session = try await context.session(isPassive: true)
        return Unread(count: session[.coupons] ?? 0)
    }
}
