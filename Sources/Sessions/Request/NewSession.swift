// SPDX-License-Identifier: Apache-2.0

/// A session that is about to be stored for the first time: what `SessionManager` asks `mayCreate` about.
///
/// Only sessions without a record: one that exists and signs in is not asked about.
public struct NewSession: Sendable {
    /// The address of the client, as the adapter gave it; nil when it gave none.
    public let client: String?
    /// The user who signs in; nil for a visitor.
    public let principal: String?

    init(_ draft: SessionDraft, client: String?) {
        self.client = client
        principal = draft.principal
    }
}
