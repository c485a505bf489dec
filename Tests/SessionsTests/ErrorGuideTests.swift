// SPDX-License-Identifier: Apache-2.0

import Foundation
import HTTPTypes
import Sessions
import Testing

/// The guide to errors has a section for each code, with the status and the sentence that clients get.
@Suite struct ErrorGuideTests {
    private static let codes: [SessionError.Code] = [
        .invalidConfiguration, .storeUnavailable, .storeFull, .conflict, .sessionChanged, .tooLarge,
        .creationRefused, .invalidValue, .closed, .noSession, .unsupported,
    ]

    private func text(_ path: String) throws -> String {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent()
            .deletingLastPathComponent()
        return try String(contentsOf: root.appending(path: path), encoding: .utf8)
    }

    @Test func `every code has a section`() throws {
        let source = try text("Sources/Sessions/SessionError.swift")
        let declared = source.matches(of: /Code\("([a-z-]+)"\)/).map { String($0.1) }
        #expect(declared.sorted() == Self.codes.map(\.description).sorted(), "add the new code to `codes`")
        let guide = try text("Sources/Sessions/Documentation.docc/Errors.md")
        for code in Self.codes {
            let error = SessionError(code, "")
            let heading = "### \(code): \(error.status.code)\n"
            let parts = guide.split(separator: heading)
            #expect(parts.count == 2, "no section \(heading)")
            let section = parts.last?.prefix { $0 != "#" } ?? ""
            let sentence = try #require(error.body.firstMatch(of: /"message":"(.*)"}/)).1
            #expect(section.contains("\"\(sentence)\""), "\(code): the visitor gets \"\(sentence)\"")
        }
        #expect(guide.matches(of: /(?m)^### [a-z-]+: [0-9]+$/).count == Self.codes.count)
    }
}
