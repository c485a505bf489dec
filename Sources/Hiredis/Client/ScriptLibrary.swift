// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// The scripts that a client teaches Redis: on each new connection, and all of them again when Redis has
/// forgotten one.
///
/// All again and in the order of registration, so that of two scripts which one caller sends together the
/// second is never known without the first: what is sent in one write is then also executed in order.
final class ScriptLibrary: Sendable {
    private let scripts = Mutex<[RedisScript]>([])

    func add(_ more: [RedisScript]) {
        scripts.withLock { scripts in
            for script in more where !scripts.contains(where: { $0.sha1 == script.sha1 }) {
                scripts.append(script)
            }
        }
    }

    /// One `SCRIPT LOAD` for each script.
    var loads: [RedisCommand] {
        scripts.withLock { $0 }.map { script in
            var load = RedisCommand("SCRIPT", "LOAD")
            load.append(script.source)
            return load
        }
    }
}
