// SPDX-License-Identifier: Apache-2.0

import Hummingbird
import HummingbirdSessions

extension SessionKey where Value == [String] {
    static var cart: Self { .init("cart") }
}

extension SessionKey where Value == Int {
    static var visits: Self { .init("visits") }
    static var attempts: Self { .init("attempts") }
}

extension SessionKey where Value == String {
    static var language: Self { .init("language") }
    static var code: Self { .init("code") }
    static var csrf: Self { .init("csrf") }
}

func change(_ session: Session, adding item: String) throws {
    try session.set(.language, "en")
    try session.update(.cart, default: []) { $0.append(item) }
    try session.increment(.visits)
}

func decideInside(_ session: Session) throws {
    try session.update(.attempts, default: 0) { attempts in
        guard attempts < 5 else { throw HTTPError(.tooManyRequests) }
        attempts += 1
    }
}

func makeToken() -> String {
    String(UInt64.random(in: .min ... .max), radix: 36) + String(UInt64.random(in: .min ... .max), radix: 36)
}

func decideByOutcome(_ session: Session) async throws -> (String?, String) {
    let attempts = try await session.updateNow(.attempts, default: 0) { attempts in
        attempts += 1
        return attempts
    }
    guard attempts <= 5 else { throw HTTPError(.tooManyRequests) }

    let code = try await session.take(.code)
    let token = try await session.value(.csrf) { makeToken() }
    return (code, token)
}

func tellAllDevices(_ sessions: SessionManager) async throws {
    for device in try await sessions.list(for: "ann") {
        try await sessions.withSession(device.id, of: "ann") { try $0.flash("Your order is paid.") }
    }
}
