#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Puts the peers that `make bench` compares with into a folder, each with a file `versions` beside it. A peer that cannot
# be installed is named with the reason, and left out; the exit status is 0 all the same.
#
#   Benchmarks/Peers/install.sh FOLDER
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
install=$here/../../Scripts/install.sh
folder=$1
mkdir -p "$folder"

# skip PEER REASON
skip() {
    rm -rf "${folder:?}/$1"
    echo "peers: $1 is left out: $2"
}

# versions PEER PACKAGE…: Debian's names and versions.
versions() {
    local peer=$1
    shift
    dpkg-query --show --showformat='${Package} ${Version}\n' "$@" >"$folder/$peer/versions"
}

go=(golang-go golang-github-gorilla-sessions-dev golang-github-boj-redistore-dev)
php=(nginx php8.2-fpm php8.2-opcache php-redis)
rack=(ruby ruby-rack ruby-redis-rack puma)

copy() {
    rm -rf "${folder:?}/$1"
    cp -r "$here/$1" "$folder/$1"
}

if "$install" "${go[@]}" && copy gorilla &&
    (cd "$folder/gorilla" && GO111MODULE=off GOPATH=/usr/share/gocode GOFLAGS= go build -o server main.go); then
    versions gorilla "${go[@]}"
else
    skip gorilla "it does not install or build"
fi

if "$install" "${php[@]}" && copy php; then versions php "${php[@]}"; else skip php "it does not install"; fi

if "$install" "${rack[@]}" && copy rack; then versions rack "${rack[@]}"; else skip rack "it does not install"; fi

python=$folder/python
if { [[ -x $python/bin/gunicorn && $python -nt $here/requirements.txt ]] ||
    { python3 -m venv "$python" && "$python/bin/pip" install --quiet --requirement "$here/requirements.txt" &&
        touch "$python"; }; }; then
    for peer in flask django; do
        copy $peer
        "$python/bin/pip" list --format=freeze 2>/dev/null | grep -iE "^($peer|redis|gunicorn)" |
            sed -e 's/==/ /' -e 's/^redis /redis-py /' >"$folder/$peer/versions"
    done
else
    skip flask "its Python packages do not install"
    skip django "its Python packages do not install"
fi
