// SPDX-License-Identifier: Apache-2.0

import Dispatch
package import Foundation

/// A private folder for everything that the run and its children write, gone when the run ends, also when it
/// is interrupted.
package final class Workplace {
    package let folder: URL
    private let signals: [any DispatchSourceSignal]

    /// Makes the folder the place for temporary files of this process and its children.
    package init(_ name: String) throws {
        let folder = FileManager.default.temporaryDirectory.appending(
            path: "\(name)-\(UUID().uuidString.prefix(8))"
        )
        try FileManager.default.createDirectory(
            at: folder,
            withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o700]
        )
        setenv("TMPDIR", folder.path, 1)
        self.folder = folder
        signals = [SIGINT, SIGTERM, SIGHUP].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number)
            // The exit ends the children, too.
            source.setEventHandler {
                try? FileManager.default.removeItem(at: folder)
                exit(128 + number)
            }
            source.resume()
            return source
        }
    }

    package func remove() { try? FileManager.default.removeItem(at: folder) }
}
