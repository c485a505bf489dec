// SPDX-License-Identifier: Apache-2.0

import Foundation
import GracefulDrain
import HTTPTypes
import Hummingbird
import HummingbirdSessions
import RedisSessions
import Synchronization

/// The routes that test programs rely on: parameters in the query, JSON in the answer.
func addRoutes(
    to router: Router<BasicSessionsRequestContext>,
    limits: SessionLimits,
    drain: GracefulDrain,
    hold: (@Sendable (Duration) async throws -> Void)?
) {
    addStateRoutes(to: router)
    addIdentityRoutes(to: router)
    addOddRoutes(to: router, limits: limits)
    addDecisionRoutes(to: router)
    addRightsRoutes(to: router)
    router.get("/healthz") { _, _ in
        json(["ok": .bool(!drain.isDraining)], status: drain.isDraining ? .serviceUnavailable : .ok)
    }
    router.post("/hold") { request, _ in
        guard let hold else { throw SessionError(.unsupported, "This store has no local copies.") }
        try await hold(.milliseconds(try request.integer("ms")))
        return json(["ok": .bool(true)])
    }
}

/// Sends what a read of the session sends, without the session: what of a read's cost is the client's, for benchmarks.
func addUnmanagedRead(to router: Router<BasicSessionsRequestContext>, _ redis: RedisClient, prefix: String) {
    router.get("/unmanaged") { request, _ in
        let cookie = request.headers[.cookie] ?? ""
        let id = cookie.split(separator: "=").last?.split(separator: ".").first ?? ""
        let key = "\(prefix):s:{\(id)}"
        let replies = try await redis.send([
            RedisCommand("HGETALL", key, readOnly: true), RedisCommand("PTTL", key, readOnly: true),
        ])
        return json(["has": .bool(replies[0].count > 0)])
    }
}

private func addStateRoutes(to router: Router<BasicSessionsRequestContext>) {
    router.get("/none") { _, _ in json(["ok": .bool(true)]) }
    router.get("/peek") { request, context in
        let key = try request.key(JSON.self)
        return json(["value": display(try await context.session()[key])])
    }
    router.get("/has") { request, context in
        let key = try request.key(String.self)
        return json(["has": .bool(try await context.session().has(key))])
    }
    router.post("/set") { request, context in
        let key = try request.key(String.self)
        let value = try request.parameter("v", orEmpty: true)
        try await context.session().set(key, value)
        return json(["ok": .bool(true)])
    }
    router.post("/remove") { request, context in
        let key = try request.key(String.self)
        try await context.session().remove(key)
        return json(["ok": .bool(true)])
    }
    router.post("/increment") { request, context in
        let key = try request.key(Int.self)
        let amount = try request.integer("by", default: 1)
        try await context.session().increment(key, by: amount)
        return json(["queued": .bool(true)])
    }
    router.post("/append") { request, context in
        let key = try request.key([String].self)
        let value = try request.parameter("v", orEmpty: true)
        try await context.session().update(key, default: []) { $0.append(value) }
        return json(["ok": .bool(true)])
    }
    router.get("/list") { request, context in
        let key = try request.key([String].self)
        return json(["values": .list((try await context.session()[key] ?? []).map { .text($0) })])
    }
}

private func addIdentityRoutes(to router: Router<BasicSessionsRequestContext>) {
    router.get("/whoami") { _, context in
        let session = try await context.session()
        let values = session.names.map {
            ($0, (try? SessionKey<JSON>(validating: $0)).flatMap { session[$0] } ?? .null)
        }
        return json([
            "principal": .optional(session.principal), "handle": .optional(session.id?.description),
            "version": .number(session.version), "values": .object(Dictionary(uniqueKeysWithValues: values)),
        ])
    }
    router.get("/pausing") { _, _ in json(["count": .number(pausing.withLock { $0 })]) }
    router.post("/login") { request, context in
        let user = try request.parameter("user")
        let names = (request.uri.queryParameters.get("keep") ?? "").split(separator: ",")
        let kept = names.compactMap { try? SessionKey<JSON>(validating: String($0)) }
        let session = try await context.session()
        // As long as checking a password takes.
        try await pause(try request.integer("ms", default: 0))
        let isRemembered = request.uri.queryParameters.get("remember") == "1"
        try session.signIn(as: user, keeping: kept, terms: isRemembered ? .fortnight : nil)
        return json(["ok": .bool(true)])
    }
    router.post("/renew") { _, context in
        try await context.session().renew()
        return json(["ok": .bool(true)])
    }
    router.post("/logout") { _, context in
        try await context.session().signOut()
        return json(["ok": .bool(true)])
    }
    router.post("/logout-others") { _, context in
        try requireDirectory(context)
        let (session, principal) = try await signedIn(context)
        return json([
            "revoked": .number(try await context.sessionManager.revokeAll(of: principal, except: session.id))
        ])
    }
    router.post("/logout-all") { request, context in
        try requireDirectory(context)
        let user = try request.parameter("user")
        return json(["revoked": .number(try await context.sessionManager.revokeAll(of: user))])
    }
    router.get("/devices") { _, context in
        try requireDirectory(context)
        let (session, principal) = try await signedIn(context)
        let devices = try await context.sessionManager.list(for: principal)
        return json([
            "devices": .list(
                devices.map { device in
                    .object([
                        "handle": .text(device.id.description),
                        "created": .text(timestamp(device.created)),
                        "lastSeen": .text(timestamp(device.lastUsed)),
                        "current": .bool(device.id == session.id),
                    ])
                }
            )
        ])
    }
    router.post("/revoke") { request, context in
        try requireDirectory(context)
        guard let id = SessionID(try request.parameter("handle")) else {
            throw Problem(.badRequest, "bad-parameter", "handle")
        }
        let (session, principal) = try await signedIn(context)
        if id == session.id {
            try session.signOut()
        } else if try await !context.sessionManager.revoke(id, of: principal) {
            throw Problem(.notFound, "no-such-session", "No session of yours has this handle.")
        }
        return json(["ok": .bool(true)])
    }
}

private func addOddRoutes(to router: Router<BasicSessionsRequestContext>, limits: SessionLimits) {
    for method in [HTTPRequest.Method.get, .post] {
        router.on("/slow", method: method) { request, context in
            let milliseconds = try request.integer("ms")
            guard (0...60_000).contains(milliseconds) else {
                throw Problem(.badRequest, "bad-parameter", "ms")
            }
            let key = try request.uri.queryParameters.get("k").map { _ in try request.key(JSON.self) }
            let write =
                request.method == .post
                ? (try request.key(String.self), try request.parameter("v", orEmpty: true)) : nil
            let session = try await context.session()
            let before = display(key.flatMap { session[$0] })
            try await pause(milliseconds)
            if let (key, value) = write { try session.set(key, value) }
            return json(["ok": .bool(true), "before": before, "principal": .optional(session.principal)])
        }
    }
    router.post("/big") { request, context in
        let count = try request.integer("bytes")
        let key = try request.key(String.self)
        guard count >= 0 else { throw Problem(.badRequest, "bad-parameter", "bytes") }
        // No more than is needed to be refused, whatever the client asks for.
        try await context.session().set(key, String(repeating: "x", count: min(count, limits.bytes + 1)))
        return json(["ok": .bool(true)])
    }
    router.get("/stream") { request, context in
        let key = try request.key(String.self)
        let value = try request.parameter("v", orEmpty: true)
        let session = try await context.session()
        return Response(
            status: .ok,
            headers: [.contentType: "application/json"],
            body: ResponseBody { writer in
                try await writer.write(ByteBuffer(string: #"{"started":true,"#))
                let late = refusal { try session.set(key, value) }
                let isStored = await store(session, key, value, context)
                try await writer.write(ByteBuffer(string: #""late":"\#(late)","set":\#(isStored)}"#))
                try await writer.finish(nil)
            }
        )
    }
    router.post("/flash") { request, context in
        try await context.session().flash(try request.parameter("v"))
        return json(["ok": .bool(true)])
    }
    for method in [HTTPRequest.Method.get, .head] {
        router.on("/messages", method: method) { request, context in
            let messages = try await context.session().takeFlash()
            if request.headers[.ifNoneMatch] != nil { return Response(status: .notModified) }
            let response = json(["messages": .list(messages.map { .text($0) })])
            return method == .head ? response.createHeadResponse() : response
        }
    }
    router.get("/visit") { request, context in
        try await context.session().increment(SessionKey<Int>("visits"))
        if request.headers[.ifNoneMatch] != nil { return Response(status: .notModified) }
        return json(["ok": .bool(true)])
    }
    router.get("/public") { _, context in
        var response = json(["known": .bool(try await context.session().id != nil)])
        response.headers[.cacheControl] = "public, max-age=60"
        return response
    }
    router.get("/readyz") { _, context in
        try await context.sessionManager.store.check()
        return json(["ok": .bool(true)])
    }
}

/// The head is out, so a plain write must be refused; gives the reason.
private func refusal(_ write: () throws -> Void) -> String {
    do { try write() } catch { return (error as? SessionError)?.code.description ?? "other" }
    return "none"
}

/// An amendment is committed on its own; whether that succeeded.
private func store(
    _ session: Session,
    _ key: SessionKey<String>,
    _ value: String,
    _ context: BasicSessionsRequestContext
) async -> Bool {
    do { try await context.sessionManager.amend(session) { try $0.set(key, value) } } catch { return false }
    return true
}

/// Says so before anything else when this instance's store can neither list nor revoke.
private func requireDirectory(_ context: BasicSessionsRequestContext) throws {
    guard try context.sessionManager.store is any SessionDirectory else {
        throw SessionError(.unsupported, "This store keeps no list.")
    }
}

private func signedIn(_ context: BasicSessionsRequestContext) async throws -> (Session, String) {
    let session = try await context.session()
    guard let principal = session.principal else {
        throw Problem(.unauthorized, "not-signed-in", "Sign in first.")
    }
    return (session, principal)
}

/// A value as `/peek` shows it: text as it is, a counter as decimal text.
private func display(_ value: JSON?) -> JSON {
    switch value {
    case .number(let number): .text(String(number))
    case .text(let text): .text(text)
    default: .null
    }
}

private func timestamp(_ instant: SessionInstant) -> String {
    instant.date.formatted(.iso8601)
}

/// How many handlers pause now: so a test knows that its request is under way.
private let pausing = Mutex(0)

private func pause(_ milliseconds: Int) async throws {
    pausing.withLock { $0 += 1 }
    defer { pausing.withLock { $0 -= 1 } }
    try await Task.sleep(for: .milliseconds(milliseconds))
}
