// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import SessionsTesting
import Testing

@testable import Sessions

/// `NAME.1` to `NAME.3` belong to the session only where its cookie can be divided (R68).
@Suite struct ForeignPartsTests {
    @Test func `a store that does not divide its cookie leaves them alone`() async throws {
        let fields: HTTPFields = [.cookie: "__Host-session.1=theirs; __Host-session.3=x"]
        let managers = [try Site().manager, try SealedSite(maximumBytes: 3072).manager]
        for manager in managers {
            for handler: (Session) throws -> Void in [
                { try $0.set(.item, "tea") }, { try $0.signIn(as: "ann") }, { try $0.signOut() },
            ] {
                let exchange = RequestSession(.get(fields), manager: manager)
                try handler(try await exchange.session())
                var response = HTTPResponse(status: .ok)
                try await exchange.close(&response)
                let lines = response.headerFields[values: .setCookie]
                #expect(lines.allSatisfy { !$0.hasPrefix("__Host-session.") } && lines.count <= 1)
            }
        }
        // Twice the same foreign name is none of ours either.
        let twice = RequestSession(
            .get([.cookie: "__Host-session.1=a; __Host-session.1=b"]),
            manager: managers[0]
        )
        _ = try await twice.session()
        var response = HTTPResponse(status: .ok)
        try await twice.close(&response)
        #expect(response.headerFields[.setCookie] == nil)
    }

    @Test func `a store that divides its cookie deletes stale parts, and wrappers say so`() async throws {
        let large = try SealedSite(maximumBytes: 8192)
        let exchange = RequestSession(.get([.cookie: "__Host-session.1=stale"]), manager: large.manager)
        try await exchange.session().set(.item, "tea")
        var response = HTTPResponse(status: .ok)
        try await exchange.close(&response)
        #expect(response.headerFields[values: .setCookie].count == 2)
        let sealed = large.manager.store
        let memory = try MemorySessionStore()
        let small = try SealedSite(maximumBytes: 3072).manager.store
        #expect(sealed.dividesCookie && !memory.dividesCookie && !small.dividesCookie)
    }

    @Test func `a name that is a part of another is refused`() {
        for name in ["sid.1", "sid.2", "__Host-sid.3", ".1"] {
            #expect(throws: SessionError(.invalidConfiguration, "")) {
                try SessionCookie(name: name).validate()
            }
        }
        for name in ["sid", "sid.0", "sid.4", "sid.10", "sid1", "sid.1x"] {
            #expect(throws: Never.self) { try SessionCookie(name: name).validate() }
        }
    }
}
