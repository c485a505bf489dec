// SPDX-License-Identifier: Apache-2.0

import Foundation
import Sessions
import SessionsTelemetry
import SessionsTesting
import TestSupport
import Testing

/// The files for operators name what the library reports: the table, the dashboard and the alert rules.
@Suite struct `Monitoring files` {
    /// A use of a metric in an expression of Prometheus: `name{label="value"}`.
    private struct Use {
        let metric: SessionMetric
        let labels: [(name: String, value: String)]
    }

    private static let root = URL(filePath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()

    private func text(_ path: String) throws -> String {
        try String(contentsOf: Self.root.appending(path: path), encoding: .utf8)
    }

    @Test func `the documentation has one row for each metric, in order`() throws {
        let rows = try text("Docs/Operations.md").split(separator: "\n")
            .filter { $0.hasPrefix("| `sessions_") }
        let expected = SessionMetric.all.map { metric in
            let labels = metric.labels.isEmpty ? "–" : metric.labels.map { "`\($0)`" }.joined(separator: ", ")
            let cells = ["`\(metric.name)`", metric.kind.rawValue, metric.unit, labels, metric.meaning]
            return "| \(cells.joined(separator: " | ")) |"
        }
        #expect(rows.map(String.init) == expected)
    }

    @Test func `the names are those that Prometheus recommends`() {
        for metric in SessionMetric.all {
            #expect(metric.name.wholeMatch(of: /sessions_[a-z]+(_[a-z]+)*/) != nil)
            #expect(metric.name.hasSuffix("_total") == (metric.kind == .counter), "\(metric.name)")
            #expect(metric.name.hasSuffix("_seconds") == (metric.kind == .timer), "\(metric.name)")
        }
    }

    @Test func `the dashboard uses every metric, and none that does not exist`() throws {
        let data = Data(try text("Docs/Monitoring/grafana-dashboard.json").utf8)
        let dashboard = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        let panels = try #require(dashboard["panels"] as? [[String: Any]])
        let expressions = panels.flatMap { $0["targets"] as? [[String: Any]] ?? [] }
            .compactMap { $0["expr"] as? String }
        #expect(expressions.count > 20 && Set(panels.compactMap { $0["id"] as? Int }).count == panels.count)
        var used: Set<String> = []
        for expression in expressions { used.formUnion(try uses(in: expression).map(\.metric.name)) }
        #expect(Set(SessionMetric.all.map(\.name)).subtracting(used) == [])
        let variables = (dashboard["templating"] as? [String: Any])?["list"] as? [[String: Any]] ?? []
        for case let query as [String: String] in variables.compactMap({ $0["query"] }) {
            let variable = try #require(query["query"]?.firstMatch(of: /label_values\((\w+), \w+\)/))
            #expect(SessionMetric.all.contains { $0.name == variable.1 })
        }
        // A file that works offline, too: no pictures, fonts or scripts from elsewhere.
        #expect(!String(decoding: data, as: UTF8.self).contains("://"))
    }

    @Test func `the alert rules use metrics, labels and values that exist`() throws {
        let rules = try alertRules()
        #expect(rules.count > 10 && Set(rules.map(\.alert)).count == rules.count)
        for rule in rules {
            #expect(try !uses(in: rule.expression).isEmpty, "\(rule.alert)")
            #expect(["critical", "warning", "info"].contains(rule.severity), "\(rule.alert)")
            #expect(!rule.summary.isEmpty && !rule.description.isEmpty, "\(rule.alert)")
        }
    }

    /// promtool parses the file as Prometheus does; it is no part of the set-up, so this is skipped without it.
    @Test(.enabled(if: promtool != nil, "promtool is not installed"))
    func `promtool accepts the alert rules`() async throws {
        let process = Process()
        process.executableURL = URL(filePath: try #require(promtool))
        process.arguments = ["check", "rules", Self.root.appending(path: "Docs/Monitoring/alerts.yaml").path]
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
    }

    // MARK: Expressions

    private static let kinds: [SessionEvent.Kind] = [
        .created, .signedIn, .renewed, .elevated, .signedOut, .revoked, .malformed, .ambiguous, .unknown,
        .forged, .unknownKey, .ended, .superseded, .wrongSecret, .replayed, .unreadable, .undecodable,
        .dropped, .refused, .touchFailed, .misconfigured, .notReplicated, .storeFailed,
    ]
    private static let codes: [SessionError.Code] = [.storeUnavailable, .storeFull, .conflict, .unsupported]

    /// The values that a label may have.
    private static let values: [String: Set<String>] = [
        "event": Set(kinds.map(\.description)),
        "signal": ["replayed", "wrong-secret", "forged"],
        "reason": ["sign-out", "revocation", "theft"],
        "operation": [
            "load", "create", "commit", "touch", "end", "check", "list", "revoke", "revoke_all",
        ],
        "outcome": Set(codes.map(\.description) + ["ok", "absent", "conflict"]),
    ]
    /// Labels that Prometheus adds.
    private static let others = ["job", "instance", "le"]

    /// Returns the metrics in an expression, and checks names, labels and values.
    private func uses(in expression: String) throws -> [Use] {
        let matches = expression.matches(of: /\b(sessions_\w+)(\{[^}]*\})?/)
        let uses = try matches.map { match in
            let metric = try #require(Self.metric(String(match.1)), "\(match.1) in \(expression)")
            let labels = (match.2 ?? "").matches(of: /(\w+)=~?"([^"]*)"/).map {
                (name: String($0.1), value: String($0.2))
            }
            return Use(metric: metric, labels: labels)
        }
        for use in uses {
            for label in use.labels where !Self.others.contains(label.name) {
                #expect(use.metric.labels.contains(label.name), "\(label.name) in \(expression)")
                for value in label.value.split(separator: "|") {
                    let isKnown = Self.values[label.name]?.contains(String(value)) == true
                    #expect(isKnown, "\(value) in \(expression)")
                }
            }
        }
        let known = Set(uses.flatMap(\.metric.labels) + Self.others)
        for match in expression.matches(of: /by \(([^)]*)\)/) {
            for label in match.1.split(separator: ",").map({ $0.trimmingCharacters(in: .whitespaces) }) {
                #expect(known.contains(label), "\(label) in \(expression)")
            }
        }
        return uses
    }

    /// The metric behind a name in Prometheus: a timer is a histogram there.
    private static func metric(_ name: String) -> SessionMetric? {
        let isHistogram = name.wholeMatch(of: /.*_seconds_(bucket|count|sum)/) != nil
        let base = isHistogram ? String(name[..<name.lastIndex(of: "_")!]) : name
        return SessionMetric.all.first { $0.name == base && ($0.kind == .timer) == isHistogram }
    }

    private struct AlertRule {
        var alert = ""
        var expression = ""
        var severity = ""
        var summary = ""
        var description = ""
    }

    /// Reads the rules; any line that is not in the file's strict form fails the test.
    private func alertRules() throws -> [AlertRule] {
        var lines = try text("Docs/Monitoring/alerts.yaml").split(separator: "\n").map(String.init)
            .filter { !$0.hasPrefix("#") }
        #expect(lines.prefix(3) == ["groups:", "  - name: sessions", "    rules:"])
        lines.removeFirst(3)
        var rules: [AlertRule] = []
        for line in lines {
            let parts = try #require(line.firstMatch(of: /^( +)(?:(- ))?([a-z]+):(?: (.+))?$/), "\(line)")
            let value = String(parts.4 ?? "")
            // What YAML would read as something else than this text.
            #expect(!value.contains(": ") && !value.contains(" #"), "\(line)")
            #expect(value.first.map { !"[]{}&*!|>'\"%@`-?".contains($0) } ?? true, "\(line)")
            if parts.2 != nil { rules.append(AlertRule()) }
            try #require(!rules.isEmpty)
            switch (parts.1.count, String(parts.3)) {
            case (6, "alert"): rules[rules.count - 1].alert = value
            case (8, "expr"): rules[rules.count - 1].expression = value
            case (8, "for"): #expect(value.wholeMatch(of: /[0-9]+[sm]/) != nil)
            case (8, "labels"), (8, "annotations"): #expect(value.isEmpty)
            case (10, "severity"): rules[rules.count - 1].severity = value
            case (10, "summary"): rules[rules.count - 1].summary = value
            case (10, "description"): rules[rules.count - 1].description = value
            default: Issue.record("unexpected: \(line)")
            }
        }
        return rules
    }
}

/// The path of promtool, where it is installed.
private let promtool = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
    .map { "\($0)/promtool" }.first { FileManager.default.isExecutableFile(atPath: $0) }
