#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Tests the C parser with the installed hiredis and with hiredis 1.5.0, and compares what both make of the
# same mutated streams. hiredis 1.5.0 is not in Debian 12; its source is inside the source distribution of the
# Python package.
#
#   Scripts/hiredis.sh [SEED [ROUNDS]]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seed=${1:-$RANDOM}
rounds=${2:-100000}
sdist=hiredis-3.5.0
sha256=c227592cc56b7df247abe4755c26723965be68972be2149fa441ac33d82131ba
scratch=.build/hiredis
mkdir -p "$scratch"

archive=$scratch/$sdist.tar.gz
if [[ ! -e $archive ]]; then
    command -v pip3 >/dev/null || Scripts/install.sh python3-pip
    echo "hiredis: fetching $sdist"
    echo "hiredis==3.5.0 --hash=sha256:$sha256" >"$scratch/requirements.txt"
    pip3 download --quiet --disable-pip-version-check --require-hashes --no-deps --no-binary :all: \
        --dest "$scratch" --requirement "$scratch/requirements.txt"
fi
echo "$sha256  $archive" | sha256sum --check --quiet
tar --extract --gzip --file "$archive" --directory "$scratch"
vendor=$scratch/$sdist/vendor

flags=(-std=gnu11 -g -O1 -Wall -Wextra -Werror -fsanitize=address,undefined -fno-sanitize-recover=all)
parser=Sources/CHiredisParser
# The tests count what hiredis searches.
flags+=(-Wl,--wrap=redisReaderGetReply)
sources=(-I"$parser/include" "$parser/parser.c" Tests/CHiredisParserTests/parser-tests.c)
cc "${flags[@]}" "${sources[@]}" -lhiredis -o "$scratch/parser-tests-installed"
# Without the undefined-behaviour sanitizer: the reader adds 2 to an announced length of up to 2^63 - 1.
for source in read sds alloc; do
    cc -std=gnu11 -g -O1 -w -fsanitize=address -c "$vendor/hiredis/$source.c" -o "$scratch/$source.o"
done
cc "${flags[@]}" -isystem "$vendor" "${sources[@]}" "$scratch"/{read,sds,alloc}.o \
    -o "$scratch/parser-tests-1.x"

echo "hiredis: seed $seed, $rounds mutated streams"
failed=0
for version in installed 1.x; do
    "$scratch/parser-tests-$version" "$seed" "$rounds" >"$scratch/$version.txt" || failed=1
done
if ! cmp --silent "$scratch/installed.txt" "$scratch/1.x.txt"; then
    echo "hiredis: the versions differ, first here (installed <, 1.x >):" >&2
    diff --speed-large-files "$scratch"/{installed,1.x}.txt | head -n 20 >&2 || true
    failed=1
fi
[[ $failed -eq 0 ]] && echo "hiredis: both versions agree"
exit $failed
