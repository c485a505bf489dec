// SPDX-License-Identifier: Apache-2.0

import Foundation
import HTTPTypes
import Sessions
import SessionsTesting
import Testing

/// Values that are too long for one cookie (R49, R68).
@Suite struct CookieChunksTests {
    private let cookie = SessionCookie()

    private func value(_ count: Int, seed: Int = 0) -> String {
        String(
            decoding: (0..<count).map { UInt8(ascii: "a") + UInt8(($0 * 7 + $0 / 26 + seed) % 26) },
            as: UTF8.self
        )
    }

    private func fields(_ value: String, _ request: HTTPFields = [:]) throws -> [String] {
        try cookie.setFields(
            value: value,
            remainingLifetime: nil,
            now: Date(timeIntervalSince1970: 0),
            replacing: cookie.read(request).chunks
        )
    }

    /// Sends a value to the browser and gives the request that comes back.
    private func deliver(_ value: String?, to jar: inout CookieJar) throws -> HTTPFields {
        let lines =
            try value.map { try fields($0, request(jar)) }
            ?? cookie.deletionFields(replacing: cookie.read(request(jar)).chunks)
        for line in lines { _ = jar.receive(line, from: place) }
        return request(jar)
    }

    private let place = CookieJar.Location(host: "shop.example", isSecure: true)

    private func request(_ jar: CookieJar) -> HTTPFields {
        jar.cookieField(for: place).map { [.cookie: $0] } ?? [:]
    }

    @Test(arguments: ["s", "__Host-session", String(repeating: "n", count: 128)])
    func `every length comes back as it went, in as few parts as browsers take`(name: String) throws {
        let cookie = SessionCookie(name: name)
        for length in [
            1, 66, 3960, 4095 - name.count, 4096 - name.count, 4097 - name.count, 6000, 8100, 8192,
        ] {
            let value = value(length)
            let lines = try cookie.setFields(value: value, remainingLifetime: nil, now: Date())
            let pairs = lines.map { String($0.prefix { $0 != ";" }) }
            #expect(pairs.allSatisfy { $0.utf8.count - 1 <= 4096 })
            let least =
                length + name.count <= 4096 ? 1 : (length + 2 + 4093 - name.count) / (4094 - name.count)
            #expect(pairs.count == least)
            #expect(pairs.count <= 3)
            #expect(cookie.read([.cookie: pairs.joined(separator: "; ")]).value == .value(value))
            #expect(cookie.read([.cookie: pairs.reversed().joined(separator: "; ")]).value == .value(value))
        }
        #expect(throws: SessionError(.tooLarge, "")) {
            try cookie.setFields(value: value(8193), remainingLifetime: nil, now: Date())
        }
    }

    @Test func `a browser that grows, shrinks and signs out keeps no stale part`() throws {
        var jar = CookieJar()
        for length in [66, 5000, 8192, 5000, 66, 8192, 66] {
            let value = value(length, seed: length)
            #expect(cookie.read(try deliver(value, to: &jar)).value == .value(value))
            #expect(
                jar.cookieField(for: place)?.split(separator: ";").count
                    == (length > 4000 ? length > 8100 ? 3 : 2 : 1)
            )
        }
        _ = try deliver(value(8192), to: &jar)
        #expect(try deliver(nil, to: &jar) == [:])
    }

    @Test func `missing, surplus, mixed and differently divided parts are malformed`() throws {
        func pairs(_ value: String) throws -> [String] {
            try fields(value).map { String($0.prefix { $0 != ";" }) }
        }
        func read(_ pairs: [String]) -> CookieLookup {
            cookie.read([.cookie: pairs.joined(separator: "; ")]).value
        }
        let long = try pairs(value(8192))
        #expect(long.count == 3)
        for missing in 1..<3 {
            #expect(read(long.enumerated().filter { $0.offset != missing }.map(\.element)) == .malformed)
        }
        #expect(read(Array(long[1...])) == .absent)
        // Another number than the true one is malformed, or another value, which no seal opens.
        let more = [long[0].replacing("3~", with: "4~")] + long[1...] + ["__Host-session.3=x"]
        #expect(read(more) == .malformed)
        let fewer = [long[0].replacing("3~", with: "2~")] + long[1...]
        #expect(read(fewer) != .value(value(8192)) && read(fewer) != .absent)
        // The bytes moved from one part to the next.
        let short = try pairs(value(5000))
        let moved = [
            String(short[0].dropLast()),
            "__Host-session.1=" + String(short[0].last!) + short[1].split(separator: "=")[1],
        ]
        #expect(read(short) == .value(value(5000)))
        #expect(read(moved) == .malformed)
        // Two values for one part, and a part that no server wrote.
        #expect(read(short + ["__Host-session.1=zzz"]) == .ambiguous)
        #expect(read([short[0], "__Host-session.1=\u{1}"]) == .malformed)
        // Short enough for one cookie.
        #expect(read(["__Host-session=2~abc", "__Host-session.1=def"]) == .malformed)
    }

    @Test
    func
        `parts that the value does not have are deleted whatever the request claims, and only if it has them`()
        throws
    {
        let request: HTTPFields = [
            .cookie: "__Host-session=9~x; __Host-session.1=a; __Host-session.3=c; __Host-session.7=z"
        ]
        let names = try fields("ticket", request).map { String($0.prefix { $0 != "=" }) }
        #expect(names == ["__Host-session", "__Host-session.1", "__Host-session.3"])
        #expect(try fields("ticket", request)[1].contains("Max-Age=0"))
        #expect(try fields("ticket", [.cookie: "__Host-session=old; other.1=x"]).count == 1)
    }

    @Test func `a handler's own cookies of these names are replaced, others stay`() throws {
        var response = HTTPResponse(status: .ok)
        response.headerFields[values: .setCookie] = [
            "__Host-session.2=mine", "__Host-session.4=other", "__Host-session=mine",
        ]
        #expect(cookie.write(try fields(value(5000)), to: &response))
        let names = response.headerFields[values: .setCookie].map { String($0.prefix { $0 != "=" }) }
        #expect(names == ["__Host-session.4", "__Host-session", "__Host-session.1"])
    }

    @Test func `a value that looks divided is refused instead of being misread`() {
        #expect(throws: SessionError(.invalidConfiguration, "")) { try fields("2~abc") }
    }
}
