// SPDX-License-Identifier: Apache-2.0

import Foundation
import Reporting
import Synchronization

/// What is being measured, for how long the run has gone on, and how quiet the machine was.
final class Progress: Sendable {
    private let start = ContinuousClock.now
    private let loads = Mutex<[Double]>([])

    var seconds: Double { (ContinuousClock.now - start) / .seconds(1) }
    var elapsed: String { "\(Int(seconds)) s" }

    /// The processors that other programs kept busy, for each case that was measured.
    var foreign: [Double] { loads.withLock { $0 } }

    func note(foreign: Double) { loads.withLock { $0.append(foreign) } }
    func part(_ letter: String, _ title: String) { write("[\(letter)] \(title) (\(elapsed))\n") }
    func note(_ text: String) { write("      \(text)\n") }
    func write(_ text: String) { FileHandle.standardOutput.write(Data(text.utf8)) }
}
