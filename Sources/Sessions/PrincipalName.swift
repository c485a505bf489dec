// SPDX-License-Identifier: Apache-2.0

// FoundationEssentials has no Unicode normalisation.
import Foundation

/// The form in which stores see the names of users.
///
/// Swift takes two spellings of one character for equal ("é" as one scalar and as "e" with an accent), stores compare
/// bytes. So that no user has sessions that a revocation misses, all names are brought into Normalization Form C where
/// they enter: at `signIn` and in the calls of `SessionManager`. Case and look-alikes remain different.
package enum PrincipalName {
    /// Returns the name in Normalization Form C (Unicode Standard Annex #15).
    package static func normalized(_ name: String) -> String {
        name.utf8.allSatisfy { $0 < 0x80 } ? name : name.precomposedStringWithCanonicalMapping
    }
}
