// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import Hiredis

/// Which replica is asked, without a server.
@Suite struct ReplicaGroupStateTests {
    private final class Node: Sendable {}
    private typealias State = ReplicaGroupState<Node>

    private let asked = RedisAddress.tcp(host: "primary", port: 1)
    private let one = RedisAddress.tcp(host: "a", port: 1)
    private let two = RedisAddress.tcp(host: "b", port: 2)
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
    private let age = TimeAmount.seconds(1)

    private func parsed(_ lines: String...) -> ReplicationInfo? {
        let text = Array((["# Replication"] + lines).joined(separator: "\r\n").utf8)
        let node = RedisReply.Node(kind: .string, span: 1, offset: 0, value: text.count)
        return ReplicationInfo(RedisReply(node, arena: text), from: asked)
    }

    private func primary(_ offset: Int, _ history: String = "h") -> ReplicationInfo {
        parsed("role:master", "master_replid:\(history)", "master_repl_offset:\(offset)")!
    }

    private func replica(_ offset: Int, _ history: String = "h") -> ReplicationInfo {
        parsed(
            "role:slave",
            "master_link_status:up",
            "slave_repl_offset:\(offset)",
            "master_replid:\(history)",
            "master_repl_offset:999"
        )!
    }

    /// Milliseconds after the start.
    private func time(_ milliseconds: Int64) -> NIODeadline { start + .milliseconds(milliseconds) }

    private func chosen(_ state: inout State, _ milliseconds: Int64, connections: Int = 0) -> Node? {
        state.requested(within: age, at: time(milliseconds), from: 0, connections: { _ in connections })
            .member?.node
    }

    private func group(_ addresses: Set<RedisAddress>) -> (State, [Node]) {
        var state = State()
        _ = state.found(addresses) { _ in Node() }
        return (state, state.members.map(\.node))
    }

    @Test func `the reply of a primary names those that follow it`() throws {
        let info = try #require(
            parsed(
                "role:master",
                "connected_slaves:4",
                "slave0:ip=a,port=1,state=online,offset=5,lag=0",
                "slave1:ip=::1,port=7,state=wait_bgsave,offset=0,lag=0",
                "slave2:ip=b,port=2,state=online,offset=5,lag=0,type=replica",
                "slave3:ip=,port=x,state=online",
                "master_replid:h",
                "master_repl_offset:7"
            )
        )
        #expect(info.history == "h" && info.offset == 7 && info.replicas == [one, two])
    }

    @Test func `a replica that has lost its primary, or another text, says nothing`() {
        #expect(replica(5).offset == 5)
        #expect(replica(5).replicas == nil)
        let rest = ["slave_repl_offset:5", "master_replid:h"]
        #expect(parsed("role:slave", "master_link_status:down", rest[0], rest[1]) == nil)
        #expect(parsed("role:slave", "master_link_status:up", rest[1]) == nil)
        #expect(parsed("role:master", "master_replid:h", "master_repl_offset:x") == nil)
        #expect(parsed("role:sentinel") == nil)
    }

    @Test func `a replica is asked for as long as it was current when the primary was`() {
        var (state, nodes) = group([one])
        #expect(chosen(&state, 0) == nil)
        state.primaryAnswered(primary(100), asked: time(0))
        state.answered(nodes[0], replica(100), connections: 0)
        #expect(chosen(&state, 999) === nodes[0])
        #expect(chosen(&state, 1000) == nil)
    }

    @Test func `one that lags is as current as the last examination that it has reached`() {
        var (state, nodes) = group([one])
        for (milliseconds, offset) in [(0, 100), (250, 200), (500, 300)] {
            state.primaryAnswered(primary(offset), asked: time(Int64(milliseconds)))
        }
        state.answered(nodes[0], replica(299), connections: 0)
        #expect(chosen(&state, 1249) === nodes[0])
        #expect(chosen(&state, 1250) == nil)
        state.answered(nodes[0], replica(99), connections: 0)
        #expect(chosen(&state, 500) == nil)
    }

    @Test func `offsets of another history, and a server that was promoted, say nothing`() {
        var (state, nodes) = group([one])
        state.primaryAnswered(primary(100), asked: time(0))
        state.answered(nodes[0], replica(1000, "other"), connections: 0)
        #expect(chosen(&state, 1) == nil)
        state.answered(nodes[0], primary(1000), connections: 0)
        #expect(chosen(&state, 1) == nil)
    }

    @Test func `connections that were made or lost since the examination make it void`() {
        var (state, nodes) = group([one])
        state.primaryAnswered(primary(100), asked: time(0))
        state.answered(nodes[0], replica(100), connections: 3)
        #expect(chosen(&state, 1, connections: 3) === nodes[0])
        #expect(chosen(&state, 1, connections: 4) == nil)
    }

    @Test func `one that has failed is left alone for a second, and another one is asked`() throws {
        var (state, nodes) = group([one, two])
        state.primaryAnswered(primary(100), asked: time(0))
        for node in nodes { state.answered(node, replica(100), connections: 0) }
        let first = try #require(chosen(&state, 0))
        state.failed(first, at: time(10))
        let second = try #require(chosen(&state, 10))
        #expect(second !== first)
        #expect(state.due(at: time(1009)).map { $0 === second } == [true])
        #expect(state.due(at: time(1010)).count == 2)
        state.failed(second, at: time(20))
        #expect(chosen(&state, 20) == nil)
    }

    @Test func `callers are spread over the replicas`() {
        var (state, nodes) = group([one, two])
        state.primaryAnswered(primary(100), asked: time(0))
        for node in nodes { state.answered(node, replica(100), connections: 0) }
        let chosen = (0..<4).map { start in
            state.requested(within: age, at: time(0), from: start, connections: { _ in 0 }).member?.node
        }
        #expect(chosen[0] === chosen[2] && chosen[1] === chosen[3] && chosen[0] !== chosen[1])
    }

    @Test func `they are examined four times in the age, one examination at a time`() {
        var (state, _) = group([one])
        func examines(_ milliseconds: Int64) -> Bool {
            state.requested(within: age, at: time(milliseconds), from: 0, connections: { _ in 0 }).examines
        }
        #expect(examines(0))
        #expect(!examines(300), "one is under way")
        state.examined()
        #expect(examines(300))
        state.examined()
        #expect(!examines(549))
        #expect(examines(550))
        state.examined()
        // Less often by reads that accept more, unless they find none.
        func examines(_ milliseconds: Int64, within age: TimeAmount) -> Bool {
            state.requested(within: age, at: time(milliseconds), from: 0, connections: { _ in 0 }).examines
        }
        #expect(examines(800, within: .seconds(60)))
        state.primaryAnswered(primary(100), asked: time(800))
        state.answered(state.members[0].node, replica(100), connections: 0)
        state.examined()
        #expect(!examines(15_799, within: .seconds(60)))
        #expect(examines(15_800, within: .seconds(60)))
    }

    @Test func `others are looked for every five seconds while the primary has another number of them`() {
        var (state, _) = group([one])
        func searches(_ count: Int, _ milliseconds: Int64) -> Bool {
            state.isIncomplete(of: count, at: time(milliseconds))
        }
        #expect(!searches(1, 0))
        #expect(searches(2, 0))
        #expect(!searches(0, 4999))
        #expect(searches(0, 5000))
    }

    @Test func `those that have left are closed, and those that stay are kept`() {
        var (state, nodes) = group([one, two])
        let stays = state.members.first { $0.address == two }?.node
        let leaving = state.found([two]) { _ in Node() }
        #expect(leaving.count == 1 && leaving[0] !== stays && nodes.contains { $0 === leaving[0] })
        #expect(state.members.count == 1 && state.members[0].node === stays)
        #expect(state.closed().map { $0 === stays } == [true])
        #expect(state.found([one]) { _ in Node() }.isEmpty && state.members.isEmpty)
        #expect(!state.requested(within: age, at: time(0), from: 0, connections: { _ in 0 }).examines)
    }
}
