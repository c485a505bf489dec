// SPDX-License-Identifier: Apache-2.0

import Hiredis
import Sessions

/// The arguments of `commit.lua`, in the order in which the script takes them.
struct CommitArguments {
    let presentedHash: [UInt8]
    let notAfter: Int64
    let readVersion: Int
    let needsVersion: String
    let rotation: String
    var newHash: [UInt8] = []
    var newPrincipal: [UInt8] = []
    var newUser: [UInt8] = []
    let grace: Int64
    let idleTimeout: String
    let lifetime: Int64
    let maximumBytes: Int
    let persistence: String
    let keptCount: Int
    // Then the kept fields, then for each operation its letter, field and value.
    private let keptFields: [String]
    private let operations: [String: SessionChange.Operation]

    /// - Parameters:
    ///   - change: the change.
    ///   - record: the record that was read.
    ///   - presented: the token that was presented for it.
    ///   - fresh: carries the secret that replaces the current one, if the change asks for it.
    ///   - notAfter: the server's time after which the change must not happen.
    ///   - crypto: hashes secrets and encrypts names.
    init(
        _ change: SessionChange,
        to record: SessionRecord,
        _ presented: PresentedToken,
        fresh: SessionToken,
        notAfter: SessionInstant,
        _ crypto: RecordCrypto
    ) {
        presentedHash = presented.hash
        self.notAfter = notAfter.milliseconds
        readVersion = record.version
        needsVersion = change.needsVersion ? "1" : ""
        grace = change.policy.renewalGrace.wholeMilliseconds
        lifetime = change.policy.lifetime.wholeMilliseconds
        maximumBytes = change.maximumBytes
        persistence = change.persistence?.stored ?? ""
        operations = change.operations
        var idle = change.idleTimeout
        var kept: Set<String> = []
        switch change.rotation {
        case .none: rotation = ""
        case .renew, .elevate:
            rotation = change.rotation == .renew ? "renew" : "elevate"
            newHash = crypto.hash(fresh)
            newPrincipal = record.principal.map { crypto.encrypt(principal: $0, for: fresh) } ?? []
        case .signIn(let principal, let keeping):
            rotation = "signin"
            newHash = crypto.hash(fresh)
            newPrincipal = crypto.encrypt(principal: principal, for: fresh)
            newUser = crypto.hash(principal: principal)
            kept = keeping
            idle = change.policy.idleTimeout
        }
        idleTimeout = idle.map { "\($0.wholeMilliseconds)" } ?? ""
        keptCount = kept.count
        keptFields = kept.map(RedisSchema.field)
    }

    /// Appends all of them to a command.
    func append(to command: inout RedisCommand) {
        command.append(presentedHash)
        command.append(Int(notAfter))
        command.append(readVersion)
        command.append(needsVersion)
        command.append(rotation)
        command.append(newHash)
        command.append(newPrincipal)
        command.append(newUser)
        command.append(Int(grace))
        command.append(idleTimeout)
        command.append(Int(lifetime))
        command.append(maximumBytes)
        command.append(persistence)
        command.append(keptCount)
        for field in keptFields { command.append(field) }
        for (name, operation) in operations {
            let (letter, value): (String, [UInt8]) =
                switch operation {
                case .set(let value): ("s", value)
                case .remove: ("r", [])
                case .increment(let amount): ("i", Array(String(amount).utf8))
                }
            command.append(letter)
            command.append(RedisSchema.field(name))
            command.append(value)
        }
    }
}

extension CookiePersistence {
    /// The value of the field `@persistence`.
    var stored: String { self == .persistent ? "persistent" : "session" }

    /// - Parameter bytes: the value of the field; nil for any other.
    init?(stored bytes: [UInt8]) {
        switch String(decoding: bytes, as: UTF8.self) {
        case Self.persistent.stored: self = .persistent
        case Self.browserSession.stored: self = .browserSession
        default: return nil
        }
    }
}
