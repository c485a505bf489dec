// SPDX-License-Identifier: Apache-2.0

/// The HTML page.
struct Report: Sendable {
    let plan: Plan
    let entries: [Entry]
    let machine: Machine
    let seconds: Double

    var html: String { "<!doctype html><title>t</title>" }
}
