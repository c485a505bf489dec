// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0

import PackageDescription

// A package of its own, so that users of the library resolve nothing of it.
let package = Package(
    name: "benchmarks",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(name: "swift-sessions", path: "..", traits: ["Redis"]),
        .package(url: "https://github.com/apple/swift-argument-parser.git", from: "1.5.0"),
        .package(url: "https://github.com/apple/swift-http-types.git", from: "1.4.0"),
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.0"),
        .package(url: "https://github.com/hummingbird-project/swift-mustache.git", from: "2.1.1"),
    ],
    targets: [
        .executableTarget(
            name: "bench",
            dependencies: [
                "CAllocationCount", "Reporting", "TestSupport",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Hiredis", package: "swift-sessions"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "RedisSessions", package: "swift-sessions"),
            ]
        ),
        .target(name: "CAllocationCount"),
        .executableTarget(
            name: "compare",
            dependencies: [
                "Reporting", "TestSupport",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]
        ),
        .executableTarget(
            name: "faults",
            dependencies: [
                "Reporting", "TestSupport",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "RedisSessions", package: "swift-sessions"),
            ]
        ),
        .executableTarget(
            name: "replicated-costs",
            dependencies: [.product(name: "RedisSessions", package: "swift-sessions")]
        ),
        // Tables, plots, the progress bar, and the templates of all pages.
        .target(
            name: "Reporting",
            dependencies: ["TestSupport", .product(name: "Mustache", package: "swift-mustache")],
            resources: [.copy("Templates")]
        ),
        .testTarget(name: "BenchTests", dependencies: ["bench", "Reporting"]),
        .testTarget(name: "CompareTests", dependencies: ["compare", "Reporting", "TestSupport"]),
        .testTarget(name: "FaultsTests", dependencies: ["faults", "Reporting"]),
        .testTarget(name: "ReportingTests", dependencies: ["Reporting"]),

        // A link to the folder in the root package, which does not offer it to other packages.
        .target(
            name: "TestSupport",
            dependencies: [
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "SessionsTesting", package: "swift-sessions"),
            ],
            path: "TestSupport"
        ),
    ]
)

for target in package.targets where target.name != "CAllocationCount" {
    target.swiftSettings = [
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .treatAllWarnings(as: .error),
    ]
}
