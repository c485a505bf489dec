// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0

import PackageDescription

// A package of its own, so that users of the library do not resolve FlyingFox; and an example of one that uses the core
// alone, which resolves neither Hummingbird nor SwiftNIO. `make footprint` runs its tests.
let package = Package(
    name: "flyingfox-sample",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(name: "swift-sessions", path: "../..", traits: []),
        .package(url: "https://github.com/apple/swift-http-types.git", from: "1.4.0"),
        .package(url: "https://github.com/swhitty/FlyingFox.git", from: "0.27.1"),
    ],
    targets: [
        .target(
            name: "FlyingFoxSessions",
            dependencies: [
                .product(name: "FlyingFox", package: "FlyingFox"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Sessions", package: "swift-sessions"),
            ]
        ),
        .executableTarget(
            name: "Shop",
            dependencies: [
                "FlyingFoxSessions",
                .product(name: "FlyingFox", package: "FlyingFox"),
                .product(name: "FlyingSocks", package: "FlyingFox"),
            ]
        ),
        .testTarget(
            name: "FlyingFoxSessionsTests",
            dependencies: [
                "FlyingFoxSessions", "Shop",
                .product(name: "FlyingFox", package: "FlyingFox"),
                .product(name: "FlyingSocks", package: "FlyingFox"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Sessions", package: "swift-sessions"),
                .product(name: "SessionsTesting", package: "swift-sessions"),
            ],
            path: "Tests"
        ),
    ]
)

for target in package.targets {
    target.swiftSettings = [
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .treatAllWarnings(as: .error),
    ]
}
