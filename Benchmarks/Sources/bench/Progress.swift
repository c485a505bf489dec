// SPDX-License-Identifier: Apache-2.0

import Foundation
import Reporting
import Synchronization

/// What is being measured, for how long the run has gone on, and how quiet the machine was.
final class Progress: Sendable {
    private let start = ContinuousClock.now
    private let state: Mutex<(repetitions: Int, foreign: [Double])>

    /// - Parameter repetitions: how many cases may be measured once more.
    init(repetitions: Int = 0) { state = Mutex((repetitions, [])) }

    var seconds: Double { (ContinuousClock.now - start) / .seconds(1) }
    var elapsed: String { "\(Int(seconds)) s" }

    /// The processors that other programs kept busy, for each case that was measured.
    var foreign: [Double] { state.withLock { $0.foreign } }

    /// Whether one more case may be repeated.
    func mayRepeat() -> Bool {
        state.withLock { state in
            state.repetitions -= 1
            return state.repetitions >= 0
        }
    }

    func note(foreign: Double) { state.withLock { $0.foreign.append(foreign) } }
    func part(_ letter: String, _ title: String) { write("[\(letter)] \(title) (\(elapsed))\n") }
    func note(_ text: String) { write("      \(text)\n") }
    func write(_ text: String) { FileHandle.standardOutput.write(Data(text.utf8)) }
}
