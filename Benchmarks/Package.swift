// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0

import PackageDescription

// A package of its own, so that users of the library resolve nothing of it.
let package = Package(
    name: "benchmarks",
    platforms: [.macOS(.v15)],
    dependencies: [.package(name: "swift-sessions", path: "..")],
    targets: [
        .executableTarget(
            name: "redis-throughput",
            dependencies: [.product(name: "Hiredis", package: "swift-sessions")]
        ),
        .executableTarget(
            name: "replicated-costs",
            dependencies: [.product(name: "RedisSessions", package: "swift-sessions")]
        ),
    ]
)
