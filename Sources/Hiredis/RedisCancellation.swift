// SPDX-License-Identifier: Apache-2.0

/// The behaviour of a command when its caller's task is cancelled.
public enum RedisCancellation: Sendable {
    /// Throw `cancelled` at once. The command may still be executed; its reply is dropped.
    case abandon
    /// Wait for the reply; the deadline still applies. For writes whose outcome must be known.
    case ignore
}
