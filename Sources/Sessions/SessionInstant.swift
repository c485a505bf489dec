// SPDX-License-Identifier: Apache-2.0

#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// A point in time in whole milliseconds since 1970-01-01 UTC, the finest that Redis keeps.
public struct SessionInstant: Hashable, Comparable, Sendable {
    /// Milliseconds since 1970-01-01 00:00:00 UTC.
    public let milliseconds: Int64

    /// Creates an instant from milliseconds since 1970.
    public init(milliseconds: Int64) { self.milliseconds = milliseconds }

    /// Creates the instant of a date, rounded to milliseconds; the nearest possible one for a date out of range.
    public init(_ date: Date) {
        let milliseconds = (date.timeIntervalSince1970 * 1000).rounded()
        self.init(milliseconds: Int64(exactly: milliseconds) ?? (milliseconds < 0 ? .min : .max))
    }

    /// The same point in time as a date.
    public var date: Date { Date(timeIntervalSince1970: Double(milliseconds) / 1000) }

    /// The system's time.
    ///
    /// Stores use their own clock where they have one.
    public static var now: Self { Self(milliseconds: Int64(Date().timeIntervalSince1970 * 1000)) }

    /// Returns a clock that starts at the system's time and then goes on evenly, whatever is done to that.
    package static func monotonicClock() -> @Sendable () -> SessionInstant {
        let (start, origin) = (SessionInstant.now, ContinuousClock.now)
        return { start + (ContinuousClock.now - origin) }
    }

    /// Whether `left` is earlier.
    public static func < (left: Self, right: Self) -> Bool { left.milliseconds < right.milliseconds }

    /// The instant `duration` later.
    ///
    /// Stops at the ends of the range instead of overflowing (R24).
    public static func + (instant: Self, duration: Duration) -> Self {
        let (sum, overflow) = instant.milliseconds.addingReportingOverflow(duration.wholeMilliseconds)
        return Self(milliseconds: overflow ? (duration < .zero ? .min : .max) : sum)
    }

    /// The time from `right` to `left`.
    public static func - (left: Self, right: Self) -> Duration {
        .milliseconds(left.milliseconds.subtractingReportingOverflow(right.milliseconds).partialValue)
    }
}

extension SessionInstant: CustomStringConvertible {
    /// The time in UTC as RFC 3339 has it, for example `2026-11-28T04:05:06.789Z`; milliseconds outside of the
    /// years 1 to 9999.
    public var description: String {
        guard (-62_135_596_800_000...253_402_300_799_999).contains(milliseconds) else {
            return "\(milliseconds) ms"
        }
        // Seconds and the rest apart: a date's fraction is not exact.
        let rest = ((milliseconds % 1000) + 1000) % 1000
        let whole = Date(timeIntervalSince1970: Double((milliseconds - rest) / 1000)).formatted(.iso8601)
        return "\(whole.dropLast()).\(String(rest + 1000).dropFirst())Z"
    }
}

/// A single number: milliseconds since 1970.
extension SessionInstant: Codable {
    /// Reads milliseconds since 1970.
    public init(from decoder: any Decoder) throws {
        self.init(milliseconds: try decoder.singleValueContainer().decode(Int64.self))
    }

    /// Writes milliseconds since 1970.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(milliseconds)
    }
}

extension Duration {
    /// Whole milliseconds, rounded towards zero; the ends of `Int64` where the duration is longer than that.
    package var wholeMilliseconds: Int64 {
        let (seconds, attoseconds) = components
        let (thousands, overflow) = seconds.multipliedReportingOverflow(by: 1000)
        if overflow { return seconds < 0 ? .min : .max }
        let (sum, overflow2) = thousands.addingReportingOverflow(attoseconds / 1_000_000_000_000_000)
        return overflow2 ? (seconds < 0 ? .min : .max) : sum
    }
}
