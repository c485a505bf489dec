// SPDX-License-Identifier: Apache-2.0

import Foundation
import Reporting

/// What is being measured, and for how long the run has gone on.
struct Progress: Sendable {
    private let start = ContinuousClock.now

    var seconds: Double {
        let parts = (ContinuousClock.now - start).components
        return Double(parts.seconds) + Double(parts.attoseconds) / 1e18
    }

    var elapsed: String { "\(Int(seconds)) s" }

    func part(_ letter: String, _ title: String) { write("[\(letter)] \(title) (\(elapsed))\n") }
    func note(_ text: String) { write("      \(text)\n") }
    func write(_ text: String) { FileHandle.standardOutput.write(Data(text.utf8)) }
}
