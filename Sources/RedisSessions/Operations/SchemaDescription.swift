// SPDX-License-Identifier: Apache-2.0

package import Sessions

/// What is kept in Redis, for people: the names and meanings of `RedisSchema`.
package struct SchemaDescription: Sendable {
    /// A kind of key.
    package struct Key: Sendable {
        package let name: String
        package let type: String
        package let meaning: String
        package let timeToLive: String
    }

    /// A field of a record, or an entry of a list that is no session.
    package struct Field: Sendable {
        package let name: String
        package let meaning: String
    }

    package let keys: [Key]
    /// The fields of a session's hash.
    package let fields: [Field]
    package let listEntries: [Field]

    /// - Parameter application: takes the place of `PREFIX`, where it is known.
    /// - Throws: `.invalidConfiguration` for an impossible name.
    package init(application: String?) throws(SessionError) {
        if let application { _ = try RedisSchema(application: application, prefix: application) }
        keys = RedisSchema.kinds.map { kind in
            let name = application.map { name in
                kind.key.replacing("PREFIX", with: name).replacing("APPLICATION", with: name)
            }
            return Key(
                name: name ?? kind.key,
                type: kind.type,
                meaning: kind.meaning,
                timeToLive: kind.timeToLive
            )
        }
        fields =
            RedisSchema.Field.allCases.map { Field(name: $0.rawValue, meaning: $0.meaning) }
            + [Field(name: RedisSchema.field("NAME"), meaning: "an attribute of the application, as JSON")]
        listEntries = RedisSchema.ListField.allCases.map { Field(name: $0.rawValue, meaning: $0.meaning) }
    }
}
