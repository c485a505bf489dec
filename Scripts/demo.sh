#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs a small shop as a cluster on this machine: a private Redis, three instances, HAProxy in front; loopback only.
#
#   Scripts/demo.sh PROGRAM            until Ctrl-C
#   CHECK=1 Scripts/demo.sh PROGRAM    a scripted visitor (Scripts/visitor.sh) instead; exits with 0 or 1
#
# PORT chooses the balancer's port; without it a free one is taken. Nothing survives the script, and its folder of logs
# is removed; when something goes wrong, the end of each log is shown first.
set -uo pipefail

program=${1:?"usage: Scripts/demo.sh PROGRAM"}
home=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PATH=$PATH:/usr/sbin
readonly instances=(app1 app2 app3)

folder=$(mktemp -d -t storefront-XXXXXX)
declare -A pids ports

# launch NAME COMMAND…: starts a child in the background that also dies if this script is killed outright.
launch() {
    local name=$1
    shift
    setpriv --pdeathsig KILL "$@" </dev/null >>"$folder/$name.log" 2>&1 &
    pids[$name]=$!
}

is_running() { [[ -n ${pids[$1]:-} ]] && kill -0 "${pids[$1]}" 2>/dev/null; }

# stop SIGNAL NAME…: signals them all, then waits for each; one that is still there after 10 s is killed.
stop() {
    local signal=$1 name
    shift
    for name in "$@"; do is_running "$name" && kill -s "$signal" "${pids[$name]}"; done
    for name in "$@"; do
        for _ in {1..100}; do
            is_running "$name" || break
            sleep 0.1
        done
        is_running "$name" && kill -s KILL "${pids[$name]}"
        [[ -n ${pids[$name]:-} ]] && wait "${pids[$name]}" 2>/dev/null
        unset "pids[$name]"
    done
}

finish() {
    trap - EXIT INT TERM HUP
    stop TERM haproxy "${instances[@]}"
    stop TERM redis
    rm -rf "$folder"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

show_logs() {
    local log
    for log in "$folder"/*.log; do
        [[ -s $log ]] && printf -- '--- the end of %s\n' "${log##*/}" && tail -n 15 "$log"
    done >&2
}

give_up() {
    echo "demo: $*" >&2
    show_logs
    exit 1
}

# free_port NAME: remembers a port that nobody listens on and that no other part of the demo has taken.
free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 12000))
        [[ " ${ports[*]} " == *" $port "* ]] && continue
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && continue
        ports[$1]=$port
        return
    done
}

# until_ready NAME SECONDS COMMAND…: asks until the command succeeds; gives up when the child ends or the time is over.
until_ready() {
    local name=$1 end=$((SECONDS + $2))
    shift 2
    until "$@" >/dev/null 2>&1; do
        is_running "$name" || give_up "$name ended at start"
        ((SECONDS < end)) || give_up "$name did not get ready"
        sleep 0.1
    done
}

start_redis() {
    launch redis redis-server --bind 127.0.0.1 --port "${ports[redis]}" --save "" --appendonly no --dir "$folder"
    until_ready redis 10 redis-cli -h 127.0.0.1 -p "${ports[redis]}" ping
}

start_instance() {
    launch "$1" env \
        STOREFRONT_HOST=127.0.0.1 \
        STOREFRONT_PORT="${ports[$1]}" \
        STOREFRONT_REDIS="redis://127.0.0.1:${ports[redis]}" \
        STOREFRONT_INSTANCE="$1" \
        STOREFRONT_PLAIN_HTTP=true \
        "$program"
    until_ready "$1" 20 curl --fail --silent --max-time 2 "http://127.0.0.1:${ports[$1]}/readyz"
}

start_balancer() {
    launch haproxy env \
        LISTEN="127.0.0.1:${ports[haproxy]}" \
        APP1="127.0.0.1:${ports[app1]}" \
        APP2="127.0.0.1:${ports[app2]}" \
        APP3="127.0.0.1:${ports[app3]}" \
        haproxy -db -f "$home/Samples/haproxy.cfg"
    until_ready haproxy 10 curl --fail --silent --max-time 2 "http://127.0.0.1:${ports[haproxy]}/healthz"
}

[[ -x $program ]] || give_up "there is no program at $program; run \`make demo\`"
for name in redis "${instances[@]}" haproxy; do free_port "$name"; done
[[ -z ${PORT:-} ]] || ports[haproxy]=$PORT
url=http://127.0.0.1:${ports[haproxy]}

start_redis
for name in "${instances[@]}"; do start_instance "$name"; done
start_balancer

if [[ -n ${CHECK:-} ]]; then
    source "$home/Scripts/visitor.sh"
    visit || {
        show_logs
        exit 1
    }
    exit 0
fi

echo
echo "  The shop is open:  $url"
echo "  Three instances behind one address: reload, and see another one answer. Ctrl-C stops everything."
echo
for name in "${instances[@]}"; do
    echo "  $name   http://127.0.0.1:${ports[$name]}   try: kill -9 ${pids[$name]}"
done
echo "  redis  redis://127.0.0.1:${ports[redis]}   try: kill -9 ${pids[redis]}"
echo
echo "  What is killed comes back after five seconds, as a supervisor would have it."
echo

while is_running haproxy; do
    wait -n 2>/dev/null
    for name in redis "${instances[@]}"; do
        is_running "$name" && continue
        echo "  $name has ended; it comes back in five seconds"
        sleep 5
        if [[ $name == redis ]]; then start_redis; else start_instance "$name"; fi
        echo "  $name is back as process ${pids[$name]}"
    done
done
give_up "the balancer ended by itself"
