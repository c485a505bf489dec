// SPDX-License-Identifier: Apache-2.0

import Sessions

extension SessionKey where Value == [String] {
    static var cart: Self { .init("cart") }
}

extension SessionKey where Value == Int {
    static var visits: Self { .init("visits") }
}

extension SessionKey where Value == String {
    static var language: Self { .init("language") }
}

func change(_ session: Session, adding item: String) throws {
    try session.set(.language, "en")
    try session.update(.cart, default: []) { $0.append(item) }
    try session.increment(.visits)
}
