// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Sessions
import Testing

@Suite struct CacheControlTests {
    private func applied(_ exposure: CacheControl.Exposure, _ headers: HTTPFields = [:]) -> HTTPFields {
        var headers = headers
        CacheControl.apply(to: &headers, exposure: exposure)
        return headers
    }

    private func cacheControl(_ exposure: CacheControl.Exposure, _ existing: String...) -> String? {
        var headers = HTTPFields()
        headers[values: .cacheControl] = existing
        CacheControl.apply(to: &headers, exposure: exposure)
        #expect(headers[values: .cacheControl].count == 1)
        return headers[.cacheControl]
    }

    private func vary(_ existing: String...) -> [String] {
        var headers = HTTPFields()
        headers[values: .vary] = existing
        CacheControl.apply(to: &headers, exposure: .touched)
        return headers[values: .vary]
    }

    // MARK: Cache-Control

    @Test func `a touched session is private, a set cookie is not stored`() {
        #expect(applied(.touched) == [.cacheControl: "private, no-cache", .vary: "Cookie"])
        #expect(applied(.cookieSet) == [.cacheControl: "no-store", .vary: "Cookie"])
    }

    @Test(arguments: [
        "public", "max-age=60", "public, max-age=60", "s-maxage=600", "immutable",
        "stale-while-revalidate=30", "stale-if-error=300",
        "must-understand",
        "PUBLIC , S-MaxAge=\"60\"", "private=\"x-user\"", "no-cache=\"Set-Cookie\"", "private", "no-cache",
        "max-stale", "only-if-cached",
        "x-ext=1",
    ])
    func `what the handler allows is dropped`(existing: String) {
        #expect(cacheControl(.touched, existing) == "private, no-cache")
        #expect(cacheControl(.cookieSet, existing) == "no-store")
    }

    @Test func `what the handler forbids is kept`() {
        #expect(cacheControl(.touched, "no-store") == "private, no-cache, no-store")
        #expect(
            cacheControl(.touched, "public, No-Transform, max-age=1, must-revalidate")
                == "private, no-cache, no-transform, must-revalidate"
        )
        #expect(
            cacheControl(.touched, "no-store", "proxy-revalidate, no-store")
                == "private, no-cache, no-store, proxy-revalidate"
        )
        #expect(cacheControl(.cookieSet, "no-store, no-transform") == "no-store, no-transform")
        #expect(cacheControl(.touched, "no-store=\"x\"") == "private, no-cache, no-store")
    }

    @Test func `must-understand does not lift no-store`() {
        #expect(
            cacheControl(.touched, "must-understand, no-store, max-age=60") == "private, no-cache, no-store"
        )
        #expect(cacheControl(.cookieSet, "must-understand, max-age=60") == "no-store")
    }

    @Test(arguments: [
        "", ",", ",,, ,", "\"", "=", "=public", "\"public", "public\"", "public=", "public;max-age=60",
        "\u{FEFF}public",
        "public,\u{301}max-age=1",
        "ext=\"a, public, s-maxage=60", "ext=\"\\\", public\"", "max-age=-1", "max-age=99999999999999999999",
        "名=値", "no-\u{17F}tore",
        "no store",
    ])
    func `what cannot be understood does not get through`(existing: String) {
        #expect(cacheControl(.touched, existing) == "private, no-cache")
        #expect(cacheControl(.cookieSet, existing) == "no-store")
    }

    @Test func `all 256 bytes in a directive leave known words only`() {
        for byte in UInt8.min...UInt8.max {
            var headers = HTTPFields()
            headers.append(
                HTTPField(
                    name: .cacheControl,
                    value: Array("pub".utf8) + [byte] + Array("lic, s-maxage=1".utf8)
                )
            )
            CacheControl.apply(to: &headers, exposure: .touched)
            #expect(headers[.cacheControl] == "private, no-cache", "byte \(byte)")
        }
    }

    @Test func `a long hostile value is dropped, not repeated`() {
        let long = String(repeating: "no-transform,public,\",", count: 10_000)
        #expect(cacheControl(.touched, long) == "private, no-cache, no-transform")
    }

    // MARK: Vary

    @Test func `Vary gets Cookie once`() {
        #expect(vary() == ["Cookie"])
        #expect(vary("") == ["Cookie"])
        #expect(vary(" , ") == ["Cookie"])
        #expect(vary("Accept-Encoding") == ["Accept-Encoding, Cookie"])
        #expect(vary("Accept-Encoding", "Origin") == ["Accept-Encoding, Origin, Cookie"])
        #expect(vary("cookie") == ["cookie"])
        #expect(vary("Accept, COOKIE\t,Origin") == ["Accept, COOKIE\t,Origin"])
    }

    @Test func `Vary with an asterisk stays`() {
        #expect(vary("*") == ["*"])
        #expect(vary("Accept, *") == ["Accept, *"])
        #expect(vary("Accept", "*") == ["Accept, *"])
    }

    @Test(arguments: [
        "Cookie2", "Set-Cookie", "X-Cookie", "Cookie=1", "Coo kie", "\"Cookie\"", "**", "\u{301}Cookie",
        "Coo\u{212A}ie",
    ])
    func `a word that only resembles Cookie does not count`(existing: String) {
        #expect(vary(existing) == ["\(existing), Cookie"])
    }

    // MARK: Other fields

    @Test(arguments: [
        "CDN-Cache-Control", "Cloudflare-CDN-Cache-Control", "Akamai-Cache-Control",
        "Vercel-CDN-Cache-Control",
        "X-LiteSpeed-Cache-Control",
        "Surrogate-Control", "Edge-Control", "X-Accel-Expires", "cdn-cache-control", "SURROGATE-CONTROL",
    ])
    func `a field that overrules Cache-Control is removed`(name: String) throws {
        let name = try #require(HTTPField.Name(name))
        for exposure in [CacheControl.Exposure.touched, .cookieSet] {
            var headers: HTTPFields = [name: "max-age=60", .contentType: "text/plain", .eTag: "\"1\""]
            headers.append(HTTPField(name: name, value: "public"))
            headers = applied(exposure, headers)
            #expect(!headers.contains(name))
            #expect(headers[.contentType] == "text/plain")
            #expect(headers[.eTag] == "\"1\"")
        }
    }

    @Test func `an expiry date is overruled, an age is a report and stays`() {
        let headers = applied(.touched, [.expires: "Fri, 01 Jan 2100 00:00:00 GMT", .age: "10"])
        #expect(headers[values: .expires] == ["0"])
        #expect(headers[.age] == "10")
        #expect(applied(.touched)[.expires] == nil)
    }

    @Test func `applying again changes nothing, and no-store stays once it is there`() {
        for exposure in [CacheControl.Exposure.touched, .cookieSet] {
            let once = applied(
                exposure,
                [.cacheControl: "public, no-transform", .vary: "Origin", .expires: "x"]
            )
            #expect(applied(exposure, once) == once)
        }
        #expect(applied(.cookieSet, applied(.touched))[.cacheControl] == "no-store")
        #expect(applied(.touched, applied(.cookieSet))[.cacheControl] == "private, no-cache, no-store")
    }
}
