#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds the documentation of every library into .build/docs, one archive each, with warnings as errors: a link that
# leads nowhere, a parameter that does not exist. Uses the toolchain's own docc and the debug build that the tests use,
# so the package depends on no plugin. An archive can be served as it is by any web server.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

libraries=$(cd Sources && ls -d */*.docc | cut -d/ -f1)
docc=$(xcrun --find docc 2>/dev/null || command -v docc || echo "$(dirname "$(readlink -f "$(command -v swift)")")/docc")
output=.build/docs
rm -rf "$output"
mkdir -p "$output"

if ! swift package dump-symbol-graph --minimum-access-level public --skip-synthesized-members >"$output/log" 2>&1; then
    cat "$output/log" >&2
    exit 1
fi
graphs=$(dirname "$(swift build --show-bin-path)")/symbolgraph

failed=0
for library in $libraries; do
    mkdir -p "$output/graphs/$library"
    cp "$graphs/$library.symbols.json" "$output/graphs/$library/"
    # What a library adds to the types of others; there need not be anything.
    cp "$graphs/$library@"*.symbols.json "$output/graphs/$library/" 2>/dev/null || true
    "$docc" convert "Sources/$library/"*.docc --additional-symbol-graph-dir "$output/graphs/$library" \
        --fallback-display-name "$library" --fallback-bundle-identifier "$library" --fallback-default-module-kind Module \
        --warnings-as-errors --output-dir "$output/$library.doccarchive" >"$output/log" 2>&1 || failed=1
    grep . "$output/log" >&2 || true
done
rm -rf "$output/graphs"
[[ $failed -eq 0 ]] && echo "docs: $(wc -w <<<"$libraries") archives in $output"
exit $failed
