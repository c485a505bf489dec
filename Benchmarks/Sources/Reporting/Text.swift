// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Numbers as people read them: few digits, and a unit.
package enum Text {
    /// Three digits that count, thousands apart: `3 210`, `32.1`, `0.32`.
    package static func number(_ value: Double) -> String {
        guard value.isFinite else { return "?" }
        if value < 0 { return "-" + number(-value) }
        if value >= 99.95 { return grouped(Int(value.rounded())) }
        if value == value.rounded() { return "\(Int(value))" }
        let digits = value >= 9.995 ? 1 : 2
        return String(format: "%.\(digits)f", value)
    }

    package static func milliseconds(_ value: Double) -> String {
        value >= 1000 ? "\(number(value / 1000)) s" : "\(number(value)) ms"
    }

    package static func microseconds(_ value: Double) -> String { value < 1 ? "0 µs" : "\(number(value)) µs" }

    /// Powers of 1024 above a few kilobytes, so that small differences stay visible.
    package static func bytes(_ value: Double) -> String {
        if abs(value) < 10_000 { return "\(number(value.rounded())) B" }
        if abs(value) < 1_048_576 { return "\(number(value / 1024)) KiB" }
        return "\(number(value / 1_048_576)) MiB"
    }

    package static func seconds(_ value: Double) -> String {
        value < 1 ? "\(number((value * 1000).rounded())) ms" : "\(number(value)) s"
    }

    /// Growth per session; where nothing is kept, the noise of the measurement shows instead, and is not
    /// worth digits.
    package static func growth(_ value: Double) -> String { value < 64 ? "~0" : bytes(value) }

    private static func grouped(_ value: Int) -> String {
        var digits = String(value)
        var groups: [String] = []
        while digits.count > 3 {
            groups.insert(String(digits.suffix(3)), at: 0)
            digits.removeLast(3)
        }
        return ([digits] + groups).joined(separator: " ")
    }
}
