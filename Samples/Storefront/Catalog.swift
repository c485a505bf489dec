// SPDX-License-Identifier: Apache-2.0

import Sessions

/// One thing that the shop sells.
struct Product {
    let id: String
    let name: String
    let note: String
    let cents: Int

    static let all = [
        Product(id: "lamp", name: "Desk lamp", note: "Oak and linen, warm light", cents: 5900),
        Product(id: "mug", name: "Mug", note: "Stoneware, holds 300\u{A0}ml", cents: 1450),
        Product(id: "chair", name: "Folding chair", note: "Beech, folds flat", cents: 8900),
        Product(
            id: "blanket",
            name: "Blanket",
            note: "Merino wool, 130\u{A0}×\u{A0}180\u{A0}cm",
            cents: 7450
        ),
        Product(id: "clock", name: "Wall clock", note: "Quiet movement, 25\u{A0}cm", cents: 3900),
        Product(id: "notebook", name: "Notebook", note: "Dotted, 192 pages", cents: 1250),
    ]

    static func named(_ id: String) -> Product? { all.first { $0.id == id } }
}

/// What a visitor wants to buy: how many of each product.
struct Cart: Codable, Sendable {
    private(set) var quantities: [String: Int] = [:]

    var count: Int { quantities.values.reduce(0, +) }
    var cents: Int { lines.reduce(0) { $0 + $1.product.cents * $1.quantity } }

    /// The products in it, in the catalog's order.
    var lines: [(product: Product, quantity: Int)] {
        Product.all.compactMap { product in quantities[product.id].map { (product, $0) } }
    }

    mutating func add(_ product: Product) { quantities[product.id, default: 0] += 1 }
    mutating func remove(_ product: Product) { quantities[product.id] = nil }
}

extension SessionKey where Value == Cart {
    static var cart: Self { .init("cart") }
}

extension SessionKey where Value == String {
    /// What the visitor's device calls itself, for the device list.
    static var device: Self { .init("device") }
}
