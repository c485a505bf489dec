// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Which commands reach Redis, as `MONITOR` shows them.
package struct CommandCount: Sendable, Equatable {
    /// What clients sent: a script is one.
    package var sent = 0
    /// What scripts ran inside.
    package var inScripts = 0

    /// Counts the lines of a `MONITOR`, `1700000000.000000 [0 127.0.0.1:50000] "HGETALL" …`.
    ///
    /// Commands of the socket that the counting itself uses are left out.
    package init(monitor text: String) {
        for line in text.split(separator: "\n") {
            guard let open = line.firstIndex(of: "["), let close = line[open...].firstIndex(of: "]") else {
                continue
            }
            let client = line[open..<close].split(separator: " ").last ?? ""
            if client == "lua" { inScripts += 1 } else if !client.hasPrefix("unix:") { sent += 1 }
        }
    }
}
