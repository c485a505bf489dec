#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs those of the named Debian packages that are missing; does nothing and needs no rights when all are
# installed. Waits while another process uses apt.
#
#   Scripts/install.sh PACKAGE…
set -euo pipefail

if ! command -v apt-get >/dev/null; then
    echo "install: this system has no apt; make sure that it has the equivalents of: $*" >&2
    exit 0
fi

missing=()
for package in "$@"; do
    status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
    [[ $status == installed ]] || missing+=("$package")
done
[[ ${#missing[@]} -gt 0 ]] || exit 0

if [[ $(id -u) -ne 0 ]]; then
    if ! command -v sudo >/dev/null; then
        echo "install: missing packages: ${missing[*]}. Run this as root: apt-get install ${missing[*]}" >&2
        exit 1
    fi
    echo "install: asking sudo for the right to install ${missing[*]}"
    exec sudo "$BASH" "${BASH_SOURCE[0]}" "${missing[@]}"
fi

# Debian starts the servers that it installs. Only the programs are needed here, so the policy forbids it.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
fi

echo "install: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
log=$(mktemp)
deadline=$((SECONDS + 600))
is_told=

# apt ARGUMENT…: runs apt-get, again and again while another process holds one of its locks. apt has four of
# them, and its option DPkg::Lock::Timeout waits for that of dpkg alone: the lock on the package lists, which
# a fresh machine holds while it refreshes them, fails at once.
apt() {
    until apt-get "$@" </dev/null >"$log" 2>&1; do
        grep -qE 'Could not get lock|Unable to (lock|acquire)|is locked by another process' "$log" || return 1
        [[ $SECONDS -lt $deadline ]] || return 1
        [[ $is_told ]] || echo "install: another process holds the lock of apt; waiting at most 10 minutes"
        is_told=1
        sleep 1
    done
}

if ! { apt update && apt install --yes --no-install-recommends "${missing[@]}"; }; then
    tail -n 30 "$log" >&2
    echo "install: apt-get could not install ${missing[*]}; its last lines are above" >&2
    rm -f "$log"
    exit 1
fi
rm -f "$log"
