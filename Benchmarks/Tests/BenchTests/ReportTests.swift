// SPDX-License-Identifier: Apache-2.0

import Foundation
import Reporting
import Testing

@testable import bench

#if canImport(FoundationXML)
    import FoundationXML
#endif

/// The arithmetic, the tables and the page of `make bench`.
@Suite struct ReportTests {
    @Test func `the median of an even number of values is the mean of the middle two`() {
        #expect(median([3, 1, 2]) == 2)
        #expect(median([4, 1, 3, 2]) == 2.5)
        #expect(median([]) == nil)
    }

    @Test func `the spread is the distance of the extremes in medians`() {
        let row = Measured(case: "a", samples: [90.0, 100, 120])
        #expect(row.median { $0 } == 100)
        #expect(row.spread { $0 } == 0.3)
        #expect(Measured(case: "a", samples: [90.0]).spread { $0 } == nil)
    }

    @Test func `a ratio to nothing is none`() {
        #expect(ratio(3, 2) == 1.5)
        #expect(ratio(3, 0) == nil && ratio(nil, 2) == nil && ratio(3, nil) == nil)
    }

    @Test func `rounds turn their order around, and a case that fails has fewer samples`() async {
        struct Broken: Error {}
        var order: [Int] = []
        let rows = await interleaved([1, 2], rounds: 2, "test", RunProgress(parts: [1]), seconds: { _ in 1 })
        {
            item in
            order.append(item)
            if order.count == 2 { throw Broken() }
            return Rate(rate: Double(item))
        }
        #expect(order == [1, 2, 2, 1])
        #expect(rows.map { $0.samples.map(\.rate) } == [[1, 1], [2]])
    }

    @Test func `what is left of the time goes to the case whose rounds are furthest apart`() async {
        var rates: [Int: [Double]] = [1: [10, 10, 10], 2: [10, 20, 11], 3: [10, 10, 10]]
        let rows = await interleaved(
            [1, 2, 3],
            rounds: 2,
            "test",
            RunProgress(parts: [1]),
            seconds: { _ in 1 }
        ) { item in
            Rate(rate: rates[item]?.removeFirst() ?? 0)
        }
        #expect(rows.map { $0.samples.count } == [2, 3, 2])
        #expect(rows[1].median(\.rate) == 11)
    }

    private struct Rate: Rated {
        var rate: Double
    }

    @Test func `a quick run has every command, every number of callers and TLS, once`() {
        let cases = BenchPlan(isQuick: true).clientCases
        #expect(Set(cases).count == cases.count)
        #expect(Set(cases.map(\.command)).count == 4 && Set(cases.map(\.callers)) == [1, 16, 64, 256])
        #expect(cases.contains { $0.isTLS })
        #expect(BenchPlan(isQuick: false).clientCases.count > 2 * cases.count)
    }

    @Test func `ratios stand first and compare what was measured in the same run`() throws {
        let tables = BenchTables(results: Self.results, plan: BenchPlan(isQuick: true)).all
        let short = try #require(tables.first)
        #expect(
            short.rows.first?.cells.map(\.text)
                == [
                    "client over redis-benchmark, HGETALL, callers on the pool, 1 / 16 / 64 / 256",
                    "– / – / 3 / –",
                ]
        )
        #expect(short.rows.contains { $0.cells.map(\.text) == ["read over /none", "0.50"] })
        #expect(short.rows.contains { $0.cells.map(\.text) == ["lost updates of 200", "0"] })
        let peers = try #require(tables.first { $0.title.hasPrefix("Peers: the same work") })
        #expect(peers.rows.map { $0.cells[0].text } == ["swift-sessions", "php", "django"])
        #expect(peers.rows[1].cells.map(\.text).suffix(3) == ["120", "5/5", "refused"])
        #expect(peers.rows[1].cells.map(\.isLoss).suffix(3) == [true, true, false])
        #expect(peers.rows[2].note == "left out: it is not installed")
    }

    @Test func `a table in Markdown has a cell for every column and marks losses`() {
        var table = TextTable(title: "Title", heads: [["name"], ["sessions", "lost"], ["a|b"]])
        table.add([.init("one"), .init("3", isLoss: true), .init("x")])
        table.add("two", note: "not available")
        #expect(
            table.markdown == """
                ### Title

                | name | sessions lost | a\\|b |
                | --- | ---: | ---: |
                | one | **3** | x |
                | two | not available |  |

                """
        )
    }

    @Test func `the page is well-formed, names the machine and loads nothing`() async throws {
        for results in [Self.results, BenchResults()] {
            let html = try await Self.html(results)
            let document = try XMLDocument(data: Data(html.utf8))
            #expect(document.rootElement()?.name == "html")
            #expect(html.contains("a processor, 2 cores"))
            for mark in ["http://", "https://", "src=", "@import", "url(", "NaN", "nan"] {
                #expect(!html.contains(mark), "\(mark)")
            }
        }
        #expect(try await Self.html(Self.results).contains("<polyline"))
        #expect(Self.page(Self.results).markdown.contains("* django: it is not installed"))
    }

    private static func html(_ results: BenchResults) async throws -> String {
        try await PageTemplate().html(page(results).page.json)
    }

    private static func page(_ results: BenchResults) -> BenchPage {
        BenchPage(
            results: results,
            plan: BenchPlan(isQuick: true),
            machine: Machine(
                processor: "a processor",
                cores: 2,
                memoryBytes: 1e9,
                kernel: "6",
                date: "2026-01-01"
            ),
            redisVersion: "7",
            wrkVersion: "4",
            seconds: 1
        )
    }

    private static var results: BenchResults {
        var results = BenchResults()
        for (runner, rate) in [(ClientCase.Runner.reference, 50_000.0), (.pool, 150_000), (.loops, 200_000)] {
            results.client.append(
                Measured(
                    case: ClientCase(command: .hgetall, isTLS: false, callers: 64, runner: runner),
                    samples: [
                        ClientSample(rate: rate, processor: 5), ClientSample(rate: rate, processor: 5),
                    ],
                    foreign: [0.1, 0.2]
                )
            )
        }
        func http(_ server: String, _ route: HTTPRoute, _ rate: Double) -> Measured<HTTPCase, HTTPSample> {
            Measured(
                case: HTTPCase(server: server, route: route, connections: 64),
                samples: [
                    HTTPSample(
                        rate: rate,
                        p50: 1,
                        p99: 2,
                        errors: 0,
                        server: 1e6 / rate,
                        redis: 4,
                        executed: 2
                    )
                ]
            )
        }
        results.stores.cases = [
            http("redis", .bare, 41_000), http("redis", .none, 40_000), http("redis", .read, 20_000),
        ]
        results.peers.names = ["swift-sessions", "php"]
        for name in results.peers.names {
            results.peers.cases += [
                http(name, .bare, 20_000), http(name, .read, 10_000), http(name, .write, 8_000),
            ]
        }
        func checks(_ lost: Int, _ revived: Int) -> PeerChecks {
            PeerChecks(
                increments: 200,
                acknowledged: 200,
                lost: lost,
                revived: revived,
                attempts: 5,
                adoptsMadeUpID: false
            )
        }
        results.peers.checks = ["swift-sessions": checks(0, 0), "php": checks(120, 5)]
        results.peers.missing = ["django": "it is not installed"]
        results.growth.attributes = [
            .init(attributes: 1, commit: 20, read: 3), .init(attributes: 60, commit: 40, read: 12),
        ]
        return results
    }
}
