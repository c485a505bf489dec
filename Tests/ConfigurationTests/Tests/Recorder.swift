// SPDX-License-Identifier: Apache-2.0

import Configuration
import Synchronization

/// Notes which keys were read as secrets, and which with a value that logs may show.
final class Recorder: AccessReporter {
    private let keys = Mutex((secrets: Set<String>(), plain: Set<String>()))

    var secrets: Set<String> { keys.withLock(\.secrets) }
    var plain: Set<String> { keys.withLock(\.plain) }

    func report(_ event: AccessEvent) {
        guard let value = try? event.result.get() else { return }
        let key = event.metadata.key.components.joined(separator: ".")
        keys.withLock { keys in
            _ = value.isSecret ? keys.secrets.insert(key) : keys.plain.insert(key)
        }
    }
}
