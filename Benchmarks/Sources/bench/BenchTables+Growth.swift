// SPDX-License-Identifier: Apache-2.0

import Reporting

extension BenchTables {
    /// One table for each thing that grows.
    var growth: [TextTable] {
        [populations, payloads, fleets, attributes].filter { !$0.rows.isEmpty }
    }

    private var populations: TextTable {
        var table = TextTable(
            title: "Growth: sessions in one Redis",
            heads: [
                ["sessions"], ["Redis' memory", "per session"], ["MEMORY", "USAGE"], ["reads", "per second"],
                ["reads and writes", "per second"], ["Redis CPU", "per read"], ["per read", "and write"],
            ]
        )
        for row in results.growth.populations {
            table.add(
                [
                    Text.number(Double(row.sessions)), Text.bytes(row.bytes), Text.bytes(row.usage),
                    Text.number(row.read.rate), Text.number(row.write.rate), Self.micros(row.read.redis),
                    Self.micros(row.write.redis),
                ].map { .init($0) }
            )
        }
        return table
    }

    private var payloads: TextTable {
        var table = TextTable(
            title: "Growth: size of a session's largest attribute",
            heads: [
                ["attribute"], ["MEMORY", "USAGE"], ["a copy in", "memory"], ["reads", "per second"],
                ["server", "CPU"], ["Redis", "CPU"], ["reads and writes", "per second"], ["server", "CPU"],
                ["Redis", "CPU"],
            ]
        )
        for row in results.growth.payloads {
            table.add(
                [
                    Text.bytes(Double(row.bytes)), Text.bytes(row.usage), row.copy.map(Text.bytes) ?? "–",
                    Text.number(row.read.rate), Self.micros(row.read.server), Self.micros(row.read.redis),
                    Text.number(row.write.rate), Self.micros(row.write.server), Self.micros(row.write.redis),
                ].map { .init($0) }
            )
        }
        return table
    }

    private var fleets: TextTable {
        var table = TextTable(
            title: "Growth: instances on one Redis, 64 connections in all",
            heads: [
                ["instances"], ["reads", "per second"], ["server", "CPU"], ["Redis", "CPU"],
                ["reads and writes", "per second"], ["server", "CPU"], ["Redis", "CPU"],
            ]
        )
        for row in results.growth.fleets {
            table.add(
                [
                    "\(row.instances)", Text.number(row.read.rate), Self.micros(row.read.server),
                    Self.micros(row.read.redis), Text.number(row.write.rate), Self.micros(row.write.server),
                    Self.micros(row.write.redis),
                ].map { .init($0) }
            )
        }
        return table
    }

    private var attributes: TextTable {
        var table = TextTable(
            title: "Growth: attributes of 40 bytes in one session",
            heads: [["attributes"], ["Redis works on", "one commit"], ["on the read", "before it"]]
        )
        for row in results.growth.attributes {
            table.add(
                ["\(row.attributes)", Self.micros(row.commit), Self.micros(row.read)].map { .init($0) }
            )
        }
        return table
    }
}
