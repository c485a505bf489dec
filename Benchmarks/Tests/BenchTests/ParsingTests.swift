// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import bench

/// What `make bench` reads from the programs that it starts.
@Suite struct ParsingTests {
    @Test func `the rate of redis-benchmark is the seventh field from the end, whatever the test is called`()
    {
        let text = """
            "test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"
            "EVALSHA ab,"c" d","84745.77","0.455","0.128","0.447","0.671","0.863","1.551"
            """
        #expect(RedisBenchmark.rate(text) == 84745.77)
        #expect(RedisBenchmark.rate("Could not connect to Redis at 127.0.0.1:1: Connection refused") == nil)
        #expect(RedisBenchmark.rate("") == nil)
    }

    @Test func `any byte but zero survives the shell`() {
        #expect(RedisBenchmark.quoted(Array("HGETALL".utf8)) == "HGETALL")
        #expect(RedisBenchmark.quoted(Array("a b'".utf8) + [255, 10]) == "$'a\\x20b\\x27\\xff\\x0a'")
        #expect(RedisBenchmark.quoted([]) == "$''")
    }

    @Test func `a line of MONITOR gives back the bytes that were sent`() throws {
        let line = try #require(
            MonitorLine(#"1700000000.000000 [0 127.0.0.1:50000] "evalsha" "a\x00\xffb" "" "q\"\\\n" "[x]""#)
        )
        #expect(line.command == "EVALSHA" && !line.isInScript)
        #expect(line.words.dropFirst() == [[97, 0, 255, 98], [], Array("q\"\\\n".utf8), Array("[x]".utf8)])
        #expect(MonitorLine(#"1700000000.000000 [0 lua] "TIME""#)?.isInScript == true)
        #expect(MonitorLine("OK") == nil)
        #expect(MonitorLine(#"1700000000.000000 [0 127.0.0.1:50000] "GET" "cut"#) == nil)
    }

    @Test func `commandstats are counted without what the benchmark itself asks`() {
        let before = CommandStats(
            "# CPU\r\nused_cpu_sys:1.5\r\nused_cpu_user:2.25\r\nused_cpu_sys_children:9\r\ncmdstat_get:calls=10,usec=20,usec_per_call=2.00\r\ncmdstat_info:calls=3,usec=900\r\n"
        )
        let after = CommandStats(
            "used_cpu_sys:2\r\nused_cpu_user:3\r\ncmdstat_get:calls=14,usec=40,usec_per_call=2.86,rejected_calls=0\r\ncmdstat_evalsha:calls=2,usec=42,usec_per_call=21.00\r\ncmdstat_info:calls=4,usec=990\r\n"
        )
        let difference = after - before
        #expect(difference.processorSeconds == 1.25)
        #expect(
            difference.entries == [
                "get": .init(calls: 4, microseconds: 20), "evalsha": .init(calls: 2, microseconds: 42),
            ]
        )
        #expect(difference.calls == 6)
        #expect(difference.microsecondsPerCall(["evalsha", "fcall"]) == 21)
        #expect(difference.microsecondsPerCall(["fcall"]) == nil)
    }

    @Test func `the line that the script of wrk prints is its result`() {
        let text = "Running 1s test\n  64 connections\nwrk-result 22332 1000500 2600 5125 3\n"
        #expect(
            Wrk.result(text) == Wrk.Result(requests: 22332, seconds: 1.0005, p50: 2.6, p99: 5.125, errors: 3)
        )
        #expect(Wrk.result("unable to connect to 127.0.0.1:1 Connection refused") == nil)
    }

    @Test func `the kernel's counters of calls are read`() {
        #expect(ProcessUsage.calls("rchar: 6976\nwchar: 0\nsyscr: 10\nsyscw: 7\nread_bytes: 1\n") == (10, 7))
        #expect(ProcessUsage.calls("") == (0, 0))
    }

    @Test func `idle processors and those that wait for a disk are not busy`() {
        let text = "cpu  100 10 200 5000 300 1 2 3 0 0\ncpu0 50 5 100 2500 150 0 1 1 0 0\n"
        #expect(ForeignLoad.busy(text) * Double(sysconf(Int32(_SC_CLK_TCK))) == 316)
        #expect(ForeignLoad.busy("") == 0)
    }

    @Test func `what a session says is read from every application`() {
        let own = Fixture.routes.parse(
            #"{"handle":"x","principal":"u7","values":{"n":3,"name":"x"},"version":4}"#
        )
        #expect(own == Routes.State(isSignedIn: true, count: 3))
        #expect(
            Fixture.routes.parse(#"{"handle":null,"principal":null,"values":{},"version":0}"#)
                == Routes.State(isSignedIn: false, count: 0)
        )
        #expect(Peer.routes.parse(#"{"uid":7,"n":3}"#) == Routes.State(isSignedIn: true, count: 3))
        #expect(Peer.routes.parse(#"{"uid":null,"n":0}"#) == Routes.State(isSignedIn: false, count: 0))
        #expect(Peer.routes.parse("<html>") == nil)
    }
}
