// SPDX-License-Identifier: Apache-2.0

public import Foundation
import Synchronization

/// What still exists when the process ends: objects in globals, and of tests that did not finish, have no `deinit`.
enum Leftovers {
    private struct State {
        var children: Set<pid_t> = []
        var items: Set<String> = []
    }

    private static let state: Mutex<State> = {
        atexit { Leftovers.remove() }
        return Mutex(State())
    }()

    static func add(child: pid_t) { state.withLock { _ = $0.children.insert(child) } }
    static func remove(child: pid_t) { state.withLock { _ = $0.children.remove(child) } }
    static func add(_ item: URL) { state.withLock { _ = $0.items.insert(item.path) } }

    static func remove(_ item: URL) {
        state.withLock { _ = $0.items.remove(item.path) }
        try? FileManager.default.removeItem(at: item)
    }

    /// First the children, which may still write into their folders.
    private static func remove() {
        let state = state.withLock(\.self)
        for child in state.children { kill(child, SIGKILL) }
        for child in state.children { waitpid(child, nil, 0) }
        for item in state.items { try? FileManager.default.removeItem(atPath: item) }
    }
}

/// Makes a folder of a random name in the temporary folder; it is gone at the latest when the process exits.
///
/// - Parameter name: how its name begins.
/// - Returns: where it is.
/// - Throws: errors of the file system.
public func makeTemporaryFolder(_ name: String) throws -> URL {
    let folder = FileManager.default.temporaryDirectory.appending(
        path: "\(name)-\(UUID().uuidString.prefix(8))"
    )
    Leftovers.add(folder)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    return folder
}

/// Removes what `makeTemporaryFolder` has made, with its content.
public func removeTemporaryFolder(_ folder: URL) { Leftovers.remove(folder) }
