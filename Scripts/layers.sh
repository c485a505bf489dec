#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Checks that imports go down only: the core knows no framework and no Redis, C stays behind two files, adapters and
# stores do not know each other. Prints each line that breaks a rule.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

failed=0

# forbid REASON MODULES FOLDER…: no file in the folders imports one of the modules (a regular expression).
forbid() {
    local reason=$1 modules=$2 folder lines
    shift 2
    for folder in "$@"; do
        [[ -d $folder ]] || continue
        lines=$(grep -rnE "^[^/]*\bimport +((struct|class|enum|protocol|func|var|let|typealias) +)?($modules)\b" --include='*.swift' "$folder" || true)
        [[ -z $lines ]] && continue
        printf 'layers: %s\n%s\n' "$reason" "$lines" >&2
        failed=1
    done
}

frameworks='Hummingbird\w*|FlyingFox\w*|Vapor'
redis='C?Hiredis\w*|RedisSessions'
transport='NIO\w*|AsyncHTTPClient|ServiceLifecycle'

forbid "the core knows no framework, no Redis and no transport" "$frameworks|$redis|$transport" Sources/Sessions
forbid "the Redis client knows nothing of sessions" "$frameworks|\w*Sessions\w*" Sources/Hiredis
forbid "stores know no framework" "$frameworks" Sources/RedisSessions
forbid "adapters know no store" "$redis" Sources/HummingbirdSessions Sources/FlyingFoxSessions
forbid "the test kit rests on the core alone" "$frameworks|$redis|$transport" Sources/SessionsTesting
forbid "samples use the public modules" "CHiredis\w*" Samples

files=$(grep -rlE '^[^/]*\bimport +CHiredis\w*' --include='*.swift' Sources Tests Samples || true)
if [[ $(grep -c . <<<"$files") -gt 2 || -n $(grep -v '^Sources/Hiredis/' <<<"$files" | grep .) ]]; then
    printf 'layers: at most two files, both in Sources/Hiredis, import C\n%s\n' "$files" >&2
    failed=1
fi
lines=$(grep -rnE '(public|package|@_exported) +import +CHiredis\w*' --include='*.swift' Sources || true)
if [[ -n $lines ]]; then
    printf 'layers: C stays inside its module\n%s\n' "$lines" >&2
    failed=1
fi

[[ $failed -eq 0 ]] && echo "layers: ok"
exit $failed
