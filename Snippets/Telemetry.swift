// SPDX-License-Identifier: Apache-2.0

import Hummingbird
import HummingbirdSessions
import RedisSessions
import SessionsTelemetry

func makeApplication(_ redis: RedisClient, _ store: RedisSessionStore) throws -> some ApplicationProtocol {
    let telemetry = SessionTelemetry(redis: redis)
    let sessions = try SessionManager(store: store, telemetry: telemetry)

    let router = Router(context: BasicSessionsRequestContext.self)
    router.add(middleware: TracingMiddleware())
    router.add(middleware: SessionsMiddleware(sessions))
    return Application(router: router, services: [redis, telemetry])
}
