// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0

import PackageDescription

let hummingbird: TargetDependencyCondition? = .when(traits: ["Hummingbird"])
let redis: TargetDependencyCondition? = .when(traits: ["Redis"])
let configuration: TargetDependencyCondition? = .when(traits: ["Configuration"])
let telemetry: TargetDependencyCondition? = .when(traits: ["Telemetry"])

let callerTestDependencies: [Target.Dependency] = [
    "Hiredis", "HummingbirdSessions", "SessionsTesting", "TestSupport",
    .product(name: "HTTPTypes", package: "swift-http-types"),
    .product(name: "Hummingbird", package: "hummingbird"),
    .product(name: "HummingbirdTesting", package: "hummingbird"),
]

let package = Package(
    name: "swift-sessions",
    platforms: [.macOS(.v15)],
    products: [
        .library(name: "HummingbirdSessions", targets: ["HummingbirdSessions"]),
        .library(name: "Sessions", targets: ["Sessions"]),
        .library(name: "RedisSessions", targets: ["RedisSessions"]),
        .library(name: "SessionsTelemetry", targets: ["SessionsTelemetry"]),
        .library(name: "Hiredis", targets: ["Hiredis"]),
        .library(name: "SessionsTesting", targets: ["SessionsTesting"]),
    ],
    // What a trait guards is not even resolved by those who leave it out; see Docs/Decisions/0008.
    traits: [
        .trait(name: "Hummingbird", description: "The adapter, HummingbirdSessions."),
        .trait(name: "Redis", description: "The Redis client and the stores on it: Hiredis, RedisSessions."),
        .trait(name: "Configuration", description: "Initialisers that read from swift-configuration."),
        .trait(name: "Telemetry", description: "Metrics and traces: SessionsTelemetry."),
        .default(enabledTraits: ["Hummingbird", "Redis", "Telemetry"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser.git", from: "1.5.0"),
        // Without traits: full Foundation stays out.
        .package(url: "https://github.com/apple/swift-configuration.git", from: "1.0.2", traits: []),
        .package(url: "https://github.com/apple/swift-crypto.git", from: "4.0.0"),
        .package(url: "https://github.com/apple/swift-distributed-tracing.git", from: "1.3.0"),
        .package(url: "https://github.com/apple/swift-http-types.git", from: "1.4.0"),
        .package(url: "https://github.com/apple/swift-log.git", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-metrics.git", from: "2.7.0"),
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl.git", from: "2.30.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird.git", from: "2.28.0"),
        .package(url: "https://github.com/swift-server/async-http-client.git", from: "1.30.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle.git", from: "2.7.0"),
    ],
    targets: [
        // The library, in reading order.
        .target(
            name: "Sessions",
            dependencies: [
                "ConfigurationSupport",
                .product(name: "Configuration", package: "swift-configuration", condition: configuration),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Logging", package: "swift-log"),
            ]
        ),
        .target(
            name: "RedisSessions",
            dependencies: [
                "ConfigurationSupport", "Hiredis", "Sessions",
                .product(name: "Configuration", package: "swift-configuration", condition: configuration),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle", condition: redis),
            ],
            resources: [.embedInCode("Scripts")]
        ),
        .target(
            name: "HummingbirdSessions",
            dependencies: [
                "Sessions",
                .product(name: "Hummingbird", package: "hummingbird", condition: hummingbird),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio", condition: hummingbird),
            ]
        ),
        .target(
            name: "SessionsTelemetry",
            dependencies: [
                "Sessions",
                .target(name: "RedisSessions", condition: redis),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Metrics", package: "swift-metrics", condition: telemetry),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle", condition: telemetry),
                .product(name: "Tracing", package: "swift-distributed-tracing", condition: telemetry),
            ]
        ),
        // Only macOS asks pkg-config, for Homebrew's paths: on Linux its flags add a warning to every build.
        .systemLibrary(
            name: "CHiredis",
            pkgConfig: "hiredis",
            providers: [.apt(["libhiredis-dev"]), .brew(["hiredis"])]
        ),
        .target(
            name: "CHiredisParser",
            dependencies: [.target(name: "CHiredis", condition: .when(platforms: [.macOS]))],
            linkerSettings: [.linkedLibrary("hiredis")]
        ),
        .target(
            name: "Hiredis",
            dependencies: [
                "CHiredisParser", "ConfigurationSupport",
                .product(name: "Configuration", package: "swift-configuration", condition: configuration),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio", condition: redis),
                .product(name: "NIOPosix", package: "swift-nio", condition: redis),
                .product(name: "NIOSSL", package: "swift-nio-ssl", condition: redis),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle", condition: redis),
            ]
        ),
        // Empty without the trait.
        .target(
            name: "ConfigurationSupport",
            dependencies: [
                .product(name: "Configuration", package: "swift-configuration", condition: configuration)
            ]
        ),
        .target(
            name: "SessionsTesting",
            dependencies: ["Sessions", .product(name: "HTTPTypes", package: "swift-http-types")]
        ),

        // Programs that use it. `sessionctl` has no product: users of the libraries do not resolve what it needs.
        .executableTarget(
            name: "sessionctl",
            dependencies: [
                "RedisSessions",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ]
        ),
        .executableTarget(
            name: "Hello",
            dependencies: [
                "HummingbirdSessions", "RedisSessions",
                .product(name: "Hummingbird", package: "hummingbird"),
            ],
            path: "Samples/Hello"
        ),
        .target(
            name: "GracefulDrain",
            dependencies: [.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")],
            path: "Samples/GracefulDrain"
        ),
        // The code of the guides, with public API alone; `HummingbirdSessionsTests` runs it.
        .target(
            name: "Guides",
            dependencies: [
                "HummingbirdSessions", "RedisSessions",
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Hummingbird", package: "hummingbird"),
            ],
            path: "Samples/Guides",
            packageAccess: false
        ),
        .executableTarget(
            name: "Storefront",
            dependencies: [
                "GracefulDrain", "HummingbirdSessions", "RedisSessions",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ],
            path: "Samples/Storefront"
        ),
        .executableTarget(
            name: "fixture-app",
            dependencies: [
                "GracefulDrain", "HummingbirdSessions", "RedisSessions",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ],
            path: "Tests/fixture-app"
        ),

        // Tests.
        .target(
            name: "TestSupport",
            dependencies: [
                "SessionsTesting",
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            path: "Tests/TestSupport"
        ),
        .target(name: "AllocationCounter", path: "Tests/AllocationCounter"),
        .testTarget(
            name: "AllocationTests",
            dependencies: [
                "AllocationCounter", "RedisSessions", "TestSupport",
                .product(name: "HTTPTypes", package: "swift-http-types"),
            ]
        ),
        .testTarget(
            name: "HiredisTests",
            dependencies: [
                "Hiredis", "TestSupport",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ]
        ),
        .testTarget(
            name: "SessionsTests",
            dependencies: [
                "Sessions", "SessionsTesting",
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Logging", package: "swift-log"),
            ]
        ),
        // Wrappers as others write them: only what is public compiles.
        .target(
            name: "ThirdPartyStores",
            dependencies: ["Sessions"],
            path: "Tests/ThirdPartyStores",
            packageAccess: false
        ),
        .testTarget(
            name: "RedisSessionsTests",
            dependencies: [
                "RedisSessions", "SessionsTesting", "TestSupport", "ThirdPartyStores",
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Logging", package: "swift-log"),
            ]
        ),
        .testTarget(
            name: "HummingbirdSessionsTests",
            dependencies: [
                "Guides", "HummingbirdSessions", "SessionsTesting", "TestSupport",
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdTesting", package: "hummingbird"),
            ]
        ),
        .testTarget(
            name: "SessionsTelemetryTests",
            dependencies: [
                "HummingbirdSessions", "RedisSessions", "SessionsTelemetry", "SessionsTesting", "TestSupport",
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdTesting", package: "hummingbird"),
                .product(name: "InMemoryTracing", package: "swift-distributed-tracing"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Metrics", package: "swift-metrics"),
                .product(name: "MetricsTestKit", package: "swift-metrics"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "Tracing", package: "swift-distributed-tracing"),
            ]
        ),
        .testTarget(
            name: "CallerTests",
            dependencies: callerTestDependencies,
            path: "Tests/CallerTests/Default"
        ),
        // The same file once more, with `NonisolatedNonsendingByDefault`.
        .testTarget(
            name: "NonsendingCallerTests",
            dependencies: callerTestDependencies,
            path: "Tests/CallerTests/Nonsending"
        ),
        .testTarget(
            name: "SessionctlTests",
            dependencies: [
                "RedisSessions", "sessionctl", "TestSupport",
                .product(name: "HTTPTypes", package: "swift-http-types"),
            ]
        ),
        .testTarget(
            name: "FixtureTests",
            dependencies: [
                "fixture-app", "Hello", "RedisSessions", "sessionctl", "Storefront", "TestSupport",
                "SessionsTesting",
            ]
        ),
    ]
)

for target in package.targets where target.type != .system {
    target.swiftSettings = [
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .treatAllWarnings(as: .error),
    ]
}

let libraries: Set = [
    "Sessions", "RedisSessions", "HummingbirdSessions", "Hiredis", "SessionsTelemetry", "SessionsTesting",
    "ConfigurationSupport",
]
for target in package.targets where libraries.contains(target.name) {
    target.swiftSettings? += [.strictMemorySafety()]
}

// Asynchronous functions run in the isolation of their callers. Hummingbird's protocols do not allow it for the adapter.
let nonsending = libraries.subtracting(["HummingbirdSessions"]).union(["NonsendingCallerTests"])
for target in package.targets where nonsending.contains(target.name) {
    target.swiftSettings? += [.enableUpcomingFeature("NonisolatedNonsendingByDefault")]
}
