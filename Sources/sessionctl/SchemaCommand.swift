// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import RedisSessions
import Sessions

/// `sessionctl schema`.
struct SchemaCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "schema",
        abstract: "Explains the keys in Redis and the fields of a session's record; asks no server."
    )

    @Option(help: "Name of the application, to print its keys.") var application: String?
    @Flag(help: "Print the least rights of a user of this tool instead, for ACL SETUSER.") var acl = false
    @Flag(help: "Print JSON.") var json = false

    private struct Key: Encodable {
        let key: String
        let type: String
        let meaning: String
        let timeToLive: String
    }

    private struct Field: Encodable {
        let field: String
        let meaning: String
    }

    private struct Answer: Encodable {
        let keys: [Key]
        let fields: [Field]
        let listEntries: [Field]
    }

    func run() async throws {
        do { try explain() } catch let error as SessionError { try Output.fail(error.message) }
    }

    private func explain() throws {
        if acl {
            guard let application else { throw ValidationError("--acl needs --application.") }
            return Output.line(try RedisSessionStore.operatorRules(application: application))
        }
        let schema = try SchemaDescription(application: application)
        if json {
            return try Output.json(
                Answer(
                    keys: schema.keys.map {
                        Key(key: $0.name, type: $0.type, meaning: $0.meaning, timeToLive: $0.timeToLive)
                    },
                    fields: schema.fields.map { Field(field: $0.name, meaning: $0.meaning) },
                    listEntries: schema.listEntries.map { Field(field: $0.name, meaning: $0.meaning) }
                )
            )
        }
        Output.table(
            ["KEY", "TYPE", "TIME TO LIVE", "MEANING"],
            schema.keys.map { [$0.name, $0.type, $0.timeToLive, $0.meaning] }
        )
        Output.line("")
        Output.table(["FIELD OF A SESSION", "MEANING"], schema.fields.map { [$0.name, $0.meaning] })
        Output.line("")
        Output.table(["ENTRY OF A LIST", "MEANING"], schema.listEntries.map { [$0.name, $0.meaning] })
        Output.line("")
        Output.line(
            "Times are milliseconds since 1970. USER is a keyed hash of the user's name; no key, field or value"
        )
        Output.line("holds a secret or a user's name in the clear.")
    }
}
