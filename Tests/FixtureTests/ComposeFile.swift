// SPDX-License-Identifier: Apache-2.0

import Foundation

/// As much of YAML as `compose.yaml` and the manifests for Kubernetes use: maps by indentation, lists in brackets
/// or with dashes, anchors and merges.
indirect enum ComposeFile: Equatable {
    case text(String)
    case list([ComposeFile])
    case map([String: ComposeFile])

    struct Malformed: Error { let line: String }

    init(_ source: String) throws {
        var lines = source.split(separator: "\n").map(String.init).filter { line in
            let content = line.trimmingCharacters(in: .whitespaces)
            return !content.isEmpty && !content.hasPrefix("#")
        }[...]
        var anchors: [String: ComposeFile] = [:]
        self = try Self.block(&lines, indent: 0, &anchors)
        if let line = lines.first { throw Malformed(line: line) }
    }

    /// The documents of a file that are separated by `---`.
    static func documents(_ source: String) throws -> [ComposeFile] {
        try source.components(separatedBy: "\n---\n").map { try ComposeFile($0) }
    }

    subscript(key: String) -> ComposeFile? { if case .map(let map) = self { map[key] } else { nil } }
    var text: String? { if case .text(let text) = self { text } else { nil } }
    var number: Int? { text.flatMap { Int($0) } }
    var items: [ComposeFile] { if case .list(let list) = self { list } else { [] } }
    var keys: Set<String> { if case .map(let map) = self { Set(map.keys) } else { [] } }
    var texts: [String] { if case .list(let list) = self { list.compactMap(\.text) } else { [] } }
    var environment: [String: String] {
        if case .map(let map) = self { map.compactMapValues(\.text) } else { [:] }
    }

    private static var mapKey: Regex<Substring> { /^[A-Za-z][\w.-]*:(?= |$)/ }

    private static func indent(_ line: String) -> Int { line.prefix { $0 == " " }.count }

    private static func block(
        _ lines: inout ArraySlice<String>,
        indent level: Int,
        _ anchors: inout [String: ComposeFile]
    ) throws -> ComposeFile {
        var map: [String: ComposeFile] = [:]
        var list: [ComposeFile] = []
        while let line = lines.first, indent(line) == level {
            lines.removeFirst()
            let content = line.dropFirst(level)
            if content.hasPrefix("- ") {
                let item = content.dropFirst(2)
                guard item.contains(mapKey) else {
                    list.append(scalar(String(item)))
                    continue
                }
                // A map whose first key stands behind the dash.
                lines = [String(repeating: " ", count: level + 2) + item] + lines
                list.append(try block(&lines, indent: level + 2, &anchors))
                continue
            }
            guard let colon = content.range(of: ":( |$)", options: .regularExpression) else {
                throw Malformed(line: line)
            }
            let key = String(content[..<colon.lowerBound])
            var value = content[colon.upperBound...].trimmingCharacters(in: .whitespaces)
            if key == "<<" {
                guard case .map(let merged)? = anchors[String(value.dropFirst())] else {
                    throw Malformed(line: line)
                }
                map.merge(merged) { own, _ in own }
                continue
            }
            var anchor: String?
            if value.hasPrefix("&") {
                anchor = String(value.dropFirst().prefix { $0 != " " })
                value = value.dropFirst(1 + anchor!.count).trimmingCharacters(in: .whitespaces)
            }
            let nested = lines.first.map(indent) ?? 0
            map[key] =
                value.isEmpty && nested > level ? try block(&lines, indent: nested, &anchors) : scalar(value)
            if let anchor { anchors[anchor] = map[key] }
        }
        return list.isEmpty ? .map(map) : .list(list)
    }

    private static func scalar(_ text: String) -> ComposeFile {
        guard text.hasPrefix("["), text.hasSuffix("]") else { return .text(unquoted(text)) }
        let items = text.dropFirst().dropLast().split(separator: ",")
        return .list(items.map { .text(unquoted($0.trimmingCharacters(in: .whitespaces))) })
    }

    private static func unquoted(_ text: String) -> String {
        text.count >= 2 && text.hasPrefix("\"") && text.hasSuffix("\"")
            ? String(text.dropFirst().dropLast()) : text
    }
}
