// SPDX-License-Identifier: Apache-2.0

import Foundation
import Synchronization

/// What a run says while it goes on: a line for each thing that is done, and in a terminal a bar below them with the time left.
package final class RunProgress: Sendable {
    private struct State {
        var pace: Pace
        var part = ""
        var step: (name: String, seconds: Double, start: Double) = ("", 0, 0)
        var hasBar = false
        var isOver = false
    }

    private let state: Mutex<State>
    private let start = ContinuousClock.now
    private let isTerminal: Bool
    private let output: @Sendable (String) -> Void

    /// - Parameters:
    ///   - parts: how long each part of the run may take, in seconds; guesses will do.
    ///   - isTerminal: whether there is a bar; by default, whether standard output can show one.
    ///   - output: takes what is written; by default, standard output.
    package init(
        parts: [Double],
        isTerminal: Bool = isatty(STDOUT_FILENO) == 1
            && ProcessInfo.processInfo.environment["TERM"].map { $0 != "dumb" } ?? false,
        output: @escaping @Sendable (String) -> Void = { FileHandle.standardOutput.write(Data($0.utf8)) }
    ) {
        state = Mutex(State(pace: Pace(parts: parts)))
        self.isTerminal = isTerminal
        self.output = output
        guard isTerminal else { return }
        // The time left goes down also while a long step shows nothing.
        Task { [weak self] in
            while let self, self.refresh() { try? await Task.sleep(for: .seconds(1)) }
        }
    }

    package var seconds: Double { (ContinuousClock.now - start) / .seconds(1) }
    package var elapsed: String { Self.words(seconds) }

    /// Begins a part of the run; what was left out of the parts before it counts as done.
    ///
    /// - Parameters:
    ///   - part: its place among the parts.
    ///   - name: of the part, for the bar.
    ///   - line: what is written.
    package func begin(_ part: Int, _ name: String, _ line: String) {
        let seconds = seconds
        let left = state.withLock { state in
            state.pace.begin(part: part)
            state.part = name
            state.step = ("", 0, seconds)
            return state.pace.position(in: 0, since: 0).secondsLeft
        }
        write(isTerminal ? line : "\(line) (about \(Self.words(left)) left)")
    }

    /// Does one step of the part: what is done, for the bar, and how many seconds it takes if nothing is slower than expected.
    package func step<Value: Sendable>(
        _ name: String,
        seconds planned: Double,
        isolation: isolated (any Actor)? = #isolation,
        _ body: () async throws -> Value
    ) async rethrows -> Value {
        let began = seconds
        state.withLock { $0.step = (name, planned, began) }
        draw()
        defer {
            let elapsed = seconds
            state.withLock { state in
                state.pace.finish(step: planned, elapsed: elapsed)
                state.step = ("", 0, elapsed)
            }
        }
        return try await body()
    }

    /// Writes whole lines, above the bar.
    package func write(_ lines: String) {
        state.withLock { state in
            erase(&state)
            output(lines + "\n")
        }
        draw()
    }

    /// Takes the bar away; nothing is drawn any more.
    package func end() {
        state.withLock { state in
            erase(&state)
            state.isOver = true
        }
    }

    private func refresh() -> Bool {
        draw()
        return state.withLock { !$0.isOver }
    }

    private func erase(_ state: inout State) {
        guard state.hasBar else { return }
        output("\r\u{1B}[K")
        state.hasBar = false
    }

    private func draw() {
        guard isTerminal else { return }
        let seconds = seconds
        state.withLock { state in
            guard !state.isOver, !state.part.isEmpty else { return }
            let position = state.pace.position(in: state.step.seconds, since: seconds - state.step.start)
            let name = [state.part, state.step.name].filter { !$0.isEmpty }.joined(separator: ": ")
            erase(&state)
            output(
                Self.bar(
                    share: position.share,
                    secondsLeft: position.secondsLeft,
                    name,
                    columns: Self.columns
                )
            )
            state.hasBar = true
        }
    }

    /// One line that fits into the terminal.
    static func bar(share: Double, secondsLeft: Double, _ name: String, columns: Int) -> String {
        let width = 24
        let full = Int((min(max(share, 0), 1) * Double(width)).rounded(.down))
        let blocks = String(repeating: "█", count: full) + String(repeating: "░", count: width - full)
        let percent = Int((min(max(share, 0), 1) * 100).rounded(.down))
        let line = "\(blocks) \(percent) %, about \(words(max(1, secondsLeft))) left  \(name)"
        // The last column would start a new line in some terminals.
        return line.count < columns ? line : line.prefix(max(0, columns - 2)) + "…"
    }

    /// A length of time in the few digits that an estimate is worth.
    static func words(_ seconds: Double) -> String {
        let whole = Int(max(0, seconds).rounded())
        if whole < 60 { return "\(whole) s" }
        let steps = (whole + 5) / 10 * 10
        if steps < 600 { return steps % 60 == 0 ? "\(steps / 60) min" : "\(steps / 60) min \(steps % 60) s" }
        return "\((whole + 30) / 60) min"
    }

    private static var columns: Int {
        var size = winsize()
        return ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 ? Int(size.ws_col) : 80
    }
}
