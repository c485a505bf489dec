// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import SessionsTesting
import Testing

@testable import Sessions

/// The cookie and the way that requests come: said once (R51).
@Suite struct TransportCheckTests {
    private func warnings(_ cookie: SessionCookie, _ requests: [HTTPRequest]) async throws -> [String] {
        let site = try Site(cookie: cookie)
        for request in requests {
            let exchange = RequestSession(request, manager: site.manager)
            try await exchange.session().set(.item, "tea")
            var response = HTTPResponse(status: .ok)
            try await exchange.close(&response)
        }
        return site.recorder.takeEvents().filter { $0.kind == .misconfigured }.compactMap(\.detail)
    }

    private func request(_ host: String?, scheme: String? = "http", _ fields: HTTPFields = [:]) -> HTTPRequest
    {
        HTTPRequest(method: .get, scheme: scheme, authority: host, path: "/", headerFields: fields)
    }

    private static let proto = HTTPField.Name("X-Forwarded-Proto")!
    private static let forwarded = HTTPField.Name("Forwarded")!

    @Test func `a Secure cookie over plain HTTP says so once`() async throws {
        for host in ["shop.example.org", "192.168.1.7:8080", "127.0.0.1.example.org", "[2001:db8::1]:80"] {
            let said = try await warnings(SessionCookie(), Array(repeating: request(host), count: 3))
            #expect(said.count == 1 && said[0].contains("plain HTTP") && !said[0].contains(host))
        }
        let behindProxies = [
            request("a.org", [Self.proto: "https"]), request("a.org", [Self.proto: "HTTPS, http"]),
            request("a.org", [Self.forwarded: "for=1.2.3.4;proto=https"]),
            request("a.org", [Self.forwarded: #"Proto="https""#]),
        ]
        let elsewhere = [
            request("a.org", scheme: "https"), request("a.org", scheme: nil), request(nil), request(""),
        ]
        let loopback = [
            "localhost", "LOCALHOST:8080", "app.localhost", "127.0.0.1:1", "127.9.9.9", "[::1]:80",
        ]
        for request in behindProxies + elsewhere + loopback.map({ request($0) }) {
            #expect(try await warnings(SessionCookie(), [request]) == [], "\(request)")
        }
        #expect(try await warnings(SessionCookie(), [request("a.org", [Self.proto: "http"])]).count == 1)
    }

    @Test func `the development cookie on another host than loopback says so once`() async throws {
        for scheme in ["http", "https", nil] {
            let elsewhere = request("shop.example.org", scheme: scheme)
            let said = try await warnings(.plainHTTP(), [request("localhost:80"), elsewhere, elsewhere])
            #expect(said.count == 1 && said[0].contains("not Secure"))
        }
        #expect(try await warnings(.plainHTTP(), [request("localhost"), request("127.0.0.1:80")]) == [])
    }

    @Test func `a request that only reads sends no cookie that could be dropped`() async throws {
        let site = try Site()
        let exchange = RequestSession(request("a.org"), manager: site.manager)
        _ = try await exchange.session()
        var response = HTTPResponse(status: .ok)
        try await exchange.close(&response)
        #expect(site.events() == [])
    }
}
