// SPDX-License-Identifier: Apache-2.0

import Sessions

/// Which servers a store asks for the session of a request.
///
/// Reads from replicas take load from a primary whose processor is full. They make no session available that the primary
/// cannot answer for: while it is away, replicas are not asked either.
///
/// **What is read from a replica**: the session of a request (`load` with a credential), if the replica has the version that
/// the cookie carries and the secret is the current one. In all other cases the primary is asked, one round trip more: no
/// session there, an older or newer version, a cookie without a version, another secret, a replica that does not answer. Lists,
/// revocations and whatever a write is based on after a conflict come from the primary, and each write goes there. With
/// `replicas`, cookies carry the version of the session, as with `CachedSessionStore`.
///
/// **What that guarantees**:
/// * A client is never shown less than it has seen, on any instance: its own writes least of all.
/// * What this process has changed or ended is read from the primary, until each replica that is asked must have it.
/// * What other processes have changed or ended is visible after `maximumAge`, on the session's next read. So for that time after its
///   end a copied cookie is accepted by processes other than the one that has ended the session, and so are a secret that was
///   replaced and a right that was taken away. The version in the cookie does not help there: the copy has it, too.
///
/// The bound does not depend on clocks or on how a replica describes its link. The primary is asked how much it has
/// executed, and a replica is used for `maximumAge` from that question on, if it has executed as much.
///
/// **Cost**: a read one round trip to a replica. In the background, `INFO replication` on the primary and on each replica, at
/// most four times in `maximumAge` for each process, and only while there are reads. A replica that goes silent costs
/// those reads that are on their way a quarter of the client's command timeout.
public struct SessionReads: Hashable, Sendable {
    let maximumAge: Duration?

    /// The primary alone; the default.
    public static let primary = Self(maximumAge: nil)

    /// A replica of the primary that has the session, where one is current.
    ///
    /// Replicas are those that the primary names (`INFO replication`), and in a cluster those of the slot map. Without any,
    /// the primary is asked. Their clocks must agree with the primary's to within two seconds, or they are of no use.
    ///
    /// - Parameter maximumAge: how old what is read may be: 100 ms to 1 minute, 1 s by default.
    /// - Returns: the value for a store, which refuses numbers out of range (`.invalidConfiguration`).
    public static func replicas(maximumAge: Duration = .seconds(1)) -> Self { Self(maximumAge: maximumAge) }

    /// - Throws: `.invalidConfiguration` for an age that is out of range.
    func validate() throws(SessionError) {
        guard let maximumAge else { return }
        guard (.milliseconds(100) ... .seconds(60)).contains(maximumAge) else {
            throw SessionError(
                .invalidConfiguration,
                "reads: maximumAge must be between 100 milliseconds and 1 minute."
            )
        }
    }
}
