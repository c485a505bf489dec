// SPDX-License-Identifier: Apache-2.0

import Sessions

struct Cart: Codable {
    var items: [String: Int]
}

extension SessionKey where Value == Cart {
    /// Up to the last release a list of names.
    static var cart: Self {
        .init("cart", version: 2) { (names: [String]) in
            Cart(items: Dictionary(names.map { ($0, 1) }, uniquingKeysWith: +))
        }
    }
}
