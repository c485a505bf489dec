// SPDX-License-Identifier: Apache-2.0

import FlyingFox
import FlyingFoxSessions
import FlyingSocks

let server = HTTPServer(address: try .inet(ip4: "127.0.0.1", port: 8080))
await addRoutes(to: server, try SessionManager(store: MemorySessionStore()))
try await server.run()
