// SPDX-License-Identifier: Apache-2.0

/// What a request asks an application for.
enum HTTPRoute: String, Sendable, CaseIterable {
    /// A handler outside of the session middleware.
    case bare
    /// A handler under it that does not use the session.
    case none
    /// A handler outside of it that sends the commands of a read: what of a read is the Redis client's.
    case unmanaged = "read without a session"
    case read
    /// Reads the session and adds 1 to a counter.
    case write = "read and write"
    case signIn = "sign-in"
}

/// One case of the benchmark over HTTP.
struct HTTPCase: Sendable, Hashable, CustomStringConvertible {
    /// The store or the peer.
    var server: String
    var route: HTTPRoute
    var connections: Int

    var description: String { "\(server), \(route.rawValue), \(connections) connections" }
}

/// One round of one case.
struct HTTPSample: Rated {
    var rate: Double
    /// Latencies in milliseconds.
    var p50: Double
    var p99: Double
    var errors: Double
    /// Microseconds of processor time for each request: all processes of the application, and Redis.
    var server: Double
    var redis: Double
    /// Commands that Redis executed for each request, those inside scripts included.
    var executed: Double
}

/// A request.
struct Route: Sendable, Hashable {
    var method: String
    var path: String

    static func get(_ path: String) -> Route { Route(method: "GET", path: path) }
    static func post(_ path: String) -> Route { Route(method: "POST", path: path) }
}

/// How an application is asked for what the benchmark needs.
struct Routes: Sendable {
    /// What a session says about itself.
    struct State: Sendable, Equatable {
        var isSignedIn: Bool
        var count: Int
    }

    var bare = Route.get("/bare")
    var none = Route.get("/none")
    var unmanaged = Route.get("/unmanaged")
    var read: Route
    var write: Route
    /// Has `%d` for the user's number.
    var signIn: Route
    /// What follows the sign-in of a user until the session has its five attributes.
    var prepare: [Route] = []
    var slow: Route
    var signOut = Route.post("/logout")
    var state: Route
    var parse: @Sendable (_ body: String) -> State?

    subscript(route: HTTPRoute) -> Route {
        switch route {
        case .bare: bare
        case .none: none
        case .unmanaged: unmanaged
        case .read: read
        case .write: write
        case .signIn: signIn
        }
    }
}
