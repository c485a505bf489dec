// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0

import PackageDescription

// A package of its own: it has the trait that this package's own build leaves out. `make footprint` runs it.
let package = Package(
    name: "configuration-tests",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(name: "swift-sessions", path: "../..", traits: ["Redis", "Configuration"]),
        .package(url: "https://github.com/apple/swift-configuration.git", from: "1.0.2", traits: []),
        .package(url: "https://github.com/apple/swift-http-types.git", from: "1.4.0"),
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.0"),
    ],
    targets: [
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
        .testTarget(
            name: "ConfigurationTests",
            dependencies: [
                "TestSupport",
                .product(name: "Configuration", package: "swift-configuration"),
                .product(name: "RedisSessions", package: "swift-sessions"),
            ],
            path: "Tests",
            swiftSettings: [.define("Configuration")]
        ),
    ]
)

for target in package.targets {
    target.swiftSettings =
        (target.swiftSettings ?? []) + [
            .enableUpcomingFeature("ExistentialAny"),
            .enableUpcomingFeature("InternalImportsByDefault"),
            .enableUpcomingFeature("MemberImportVisibility"),
            .treatAllWarnings(as: .error),
        ]
}
