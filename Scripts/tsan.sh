#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs the one type that orders its memory accesses by itself (`@unchecked Sendable`) under ThreadSanitizer: 20,000
# races of a reply, a deadline and a cancellation.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scratch=.build/tsan
mkdir -p "$scratch"
swiftc -sanitize=thread -swift-version 6 -g -parse-as-library -module-name PendingReplyRace -o "$scratch/race" \
    Sources/Hiredis/Connection/PendingReply.swift Sources/Hiredis/RedisError.swift \
    Sources/Hiredis/RedisCancellation.swift Tests/PendingReplyRace/PendingReplyRace.swift
TSAN_OPTIONS=halt_on_error=1 "$scratch/race"
