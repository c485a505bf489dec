// SPDX-License-Identifier: Apache-2.0

import Logging
import Synchronization

/// All logged lines.
private final class Lines: Sendable {
    private let all = Mutex<[String]>([])
    var list: [String] { all.withLock { $0 } }
    func add(_ line: String) { all.withLock { $0.append(line) } }
}

/// A log handler that keeps all lines.
struct Recorder: LogHandler {
    private let kept = Lines()
    var logLevel = Logger.Level.trace
    var metadata: Logger.Metadata = [:]
    var lines: [String] { kept.list }
    var text: String { lines.joined(separator: "\n") }

    func note(_ text: String) { kept.add(text) }
    func log(event: LogEvent) {
        kept.add("\(event.message) \(metadata.merging(event.metadata ?? [:]) { $1 })")
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }
}
