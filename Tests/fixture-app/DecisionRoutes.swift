// SPDX-License-Identifier: Apache-2.0

import Hummingbird
import HummingbirdSessions

/// What handlers decide by a value, and show: a limit, a one-time value, a value that is made on first use.
func addDecisionRoutes(to router: Router<BasicSessionsRequestContext>) {
    // Counts up to `max`: 200 with the count, then 429.
    router.post("/limit") { request, context in
        let key = try request.key(Int.self)
        let limit = try request.integer("max")
        let count = try await context.session().updateNow(key, default: 0) { count in
            count += 1
            return count
        }
        return json(["count": .number(count)], status: count <= limit ? .ok : .tooManyRequests)
    }
    // The same with `update`, which decides inside its closure.
    router.post("/limit-inside") { request, context in
        let key = try request.key(Int.self)
        let limit = try request.integer("max")
        try await context.session().update(key, default: 0) { count in
            guard count < limit else { throw HTTPError(.tooManyRequests) }
            count += 1
        }
        return json(["ok": .bool(true)])
    }
    router.post("/take") { request, context in
        let key = try request.key(String.self)
        return json(["value": .optional(try await context.session().take(key))])
    }
    router.get("/token") { request, context in
        let key = try request.key(String.self)
        let token = try await context.session().value(key) {
            String(UInt64.random(in: .min ... .max), radix: 36)
        }
        return json(["token": .text(token)])
    }
}
