// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// The scripts that a client loads on each new connection, and again when Redis has lost one.
///
/// Always all of them and in the order of registration: so of two scripts that a caller sends in one write,
/// Redis never has the second without the first, and they are executed in order.
final class ScriptLibrary: Sendable {
    private let scripts = Mutex<[RedisScript]>([])
    private let isLoading = Atomic(false)
    private let refusal = Atomic(false)

    /// Registers scripts; those that are registered already are skipped.
    func add(_ more: [RedisScript]) {
        scripts.withLock { scripts in
            for script in more where !scripts.contains(where: { $0.sha1 == script.sha1 }) {
                scripts.append(script)
            }
        }
    }

    /// A `SCRIPT LOAD` for each script; none when a proxy does not pass it.
    var loads: [RedisCommand] {
        if isRefused { return [] }
        return scripts.withLock { $0 }.map { script in
            var load = RedisCommand("SCRIPT", "LOAD")
            load.append(script.source)
            return load
        }
    }

    /// Whether a proxy closes connections on which scripts are loaded.
    var isRefused: Bool { refusal.load(ordering: .relaxed) }

    /// Notes that loading scripts closes the connection.
    func refused() { refusal.store(true, ordering: .relaxed) }

    /// Returns whether the caller has to load what Redis has lost; false while another caller does.
    func loadingBegan() -> Bool { !isLoading.exchange(true, ordering: .relaxed) }

    /// Ends the loading.
    func loadingEnded() { isLoading.store(false, ordering: .relaxed) }
}
