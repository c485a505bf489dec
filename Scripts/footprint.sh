#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Counts the packages that users of this one resolve, and fails when there are more than Docs/Decisions/0008 promises.
# Then tests what the trait Configuration adds, and the sample on FlyingFox, each in a package of its own.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failed=0

# expect LIMIT PRODUCT TRAITS: resolves a package that uses this product with these traits.
expect() {
    local limit=$1 product=$2 traits=$3 count
    rm -rf "$folder/app" && mkdir -p "$folder/app/Sources/app"
    echo 'print("ok")' >"$folder/app/Sources/app/main.swift"
    cat >"$folder/app/Package.swift" <<MANIFEST
// swift-tools-version: 6.2
import PackageDescription
let package = Package(
    name: "app",
    platforms: [.macOS(.v15)],
    dependencies: [.package(name: "swift-sessions", path: "$root", traits: [$traits])],
    targets: [.executableTarget(name: "app", dependencies: [.product(name: "$product", package: "swift-sessions")])]
)
MANIFEST
    swift package --package-path "$folder/app" resolve >"$folder/log" 2>&1 || { cat "$folder/log" >&2 && exit 1; }
    count=$(grep -c '"identity"' "$folder/app/Package.resolved")
    echo "footprint: $product with traits [$traits]: $count packages, at most $limit"
    [[ $count -le $limit ]] || failed=1
}

# expect_without PACKAGE: the last package that was resolved resolves no such one.
expect_without() {
    ! grep -q "\"identity\" : \"$1\"" "$folder/app/Package.resolved" || { echo "footprint: it resolves $1" >&2 && failed=1; }
}

expect 4 Sessions ''
expect_without swift-configuration
expect 11 RedisSessions '"Redis"'
expect_without swift-configuration
expect 13 SessionsTelemetry '"Redis", "Telemetry"'
expect_without swift-configuration
expect 9 Sessions '"Configuration"'
expect 12 RedisSessions '"Redis", "Configuration"'
expect 24 HummingbirdSessions '.defaults, "Configuration"'
swift test --package-path "$root/Tests/ConfigurationTests" --scratch-path "$root/.build/configuration"
swift test --package-path "$root/Samples/FlyingFoxShop" --scratch-path "$root/.build/flyingfox"
exit $failed
