// SPDX-License-Identifier: Apache-2.0

/// Which server the `redis-server` in `PATH` is, for tests of what only some servers have.
public struct ServerVersion: Sendable, Hashable {
    /// Whether it is Valkey.
    public let isValkey: Bool
    /// The first number of its version.
    public let major: Int

    /// Returns what `redis-server --version` says; it is asked once.
    public static var installed: Self { get async throws { try await asked.value } }

    private static let asked = Task {
        let text = try await run("redis-server", ["--version"])
        guard let version = text.firstMatch(of: /v=([0-9]+)\./), let major = Int(version.1) else {
            throw ChildProcess.Failure(description: "redis-server has no version: \(text)")
        }
        return Self(isValkey: text.contains("Valkey"), major: major)
    }

    /// Whether a replica names its primary to clients that ask for it (`CLIENT CAPA redirect`).
    public var namesPrimary: Bool { isValkey && major >= 8 }
    /// Whether slots move as a whole (`CLUSTER MIGRATESLOTS`).
    public var movesSlotsAsAWhole: Bool { isValkey && major >= 9 }
}
