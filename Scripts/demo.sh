#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs a small shop as a cluster on this machine: three instances, HAProxy in front, and a private Redis where the strategy
# needs one; loopback only.
#
#   Scripts/demo.sh PROGRAM            until Ctrl-C
#   CHECK=1 Scripts/demo.sh PROGRAM    a scripted visitor (Scripts/visitor.sh) instead; exits with 0 or 1
#
# STRATEGY says where sessions are kept: redis (without it), memory, sealed or replicated, with a balancer that pins visitors
# for memory; hybrid is Redis with a near cache and a balancer that pins. PORT chooses the balancer's port; without it a free one is taken. Nothing survives the script, and its folder of logs
# is removed; when something goes wrong, the end of each log is shown first.
set -uo pipefail

program=${1:?"usage: Scripts/demo.sh PROGRAM"}
home=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PATH=$PATH:/usr/sbin
readonly instances=(app1 app2 app3)
readonly strategy=${STRATEGY:-redis}

case $strategy in
    redis | replicated) store=$strategy balancer=Samples/haproxy.cfg parts=(redis "${instances[@]}") ;;
    hybrid) store=redis-cached balancer=Samples/balancers/haproxy-cookie.cfg parts=(redis "${instances[@]}") ;;
    memory) store=memory balancer=Samples/balancers/haproxy-cookie.cfg parts=("${instances[@]}") ;;
    sealed) store=sealed balancer=Samples/haproxy.cfg parts=("${instances[@]}") ;;
    *) echo "demo: STRATEGY is redis, memory, sealed, replicated or hybrid, not “$strategy”" >&2 && exit 2 ;;
esac
# Whether the balancer leads a visitor to the same instance each time, and whether there is a Redis.
is_pinned() { [[ $balancer == */balancers/* ]]; }
has_redis() { [[ ${parts[0]} == redis ]]; }

# random BYTES: that much random text, in the alphabet of cookies.
random() { head -c "$1" /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n'; }
# The same for all instances, as long as the demo runs.
seal_keys=demo:$(random 32)
aliases=("$(random 12)" "$(random 12)" "$(random 12)")

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

# free_port NAME: remembers a port that is free and that no other part of the demo has taken.
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
        STOREFRONT_STORE="$store" \
        STOREFRONT_SEAL_KEYS="$seal_keys" \
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
        ALIAS1="${aliases[0]}" ALIAS2="${aliases[1]}" ALIAS3="${aliases[2]}" PLAIN_HTTP=1 \
        haproxy -db -f "$home/$balancer"
    until_ready haproxy 10 curl --fail --silent --max-time 2 "http://127.0.0.1:${ports[haproxy]}/healthz"
}

[[ -x $program ]] || give_up "there is no program at $program; run \`make demo\`"
for name in redis "${instances[@]}" haproxy; do free_port "$name"; done
[[ -z ${PORT:-} ]] || ports[haproxy]=$PORT
url=http://127.0.0.1:${ports[haproxy]}

if has_redis; then start_redis; fi
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
if is_pinned; then
    echo "  Three instances behind one address; the balancer keeps you on one of them. Ctrl-C stops everything."
else
    echo "  Three instances behind one address: reload, and see another one answer. Ctrl-C stops everything."
fi
echo
for name in "${instances[@]}"; do
    echo "  $name   http://127.0.0.1:${ports[$name]}   try: kill -9 ${pids[$name]}"
done
if has_redis; then echo "  redis  redis://127.0.0.1:${ports[redis]}   try: kill -9 ${pids[redis]}"; fi
echo
echo "  What is killed comes back after five seconds, as a supervisor would have it."
if [[ $strategy == memory ]]; then echo "  Sessions are in the instances' memory alone: who was on an instance that is killed is signed out."; fi
echo

while is_running haproxy; do
    wait -n 2>/dev/null
    for name in "${parts[@]}"; do
        is_running "$name" && continue
        echo "  $name has ended; it comes back in five seconds"
        sleep 5
        if [[ $name == redis ]]; then start_redis; else start_instance "$name"; fi
        echo "  $name is back as process ${pids[$name]}"
    done
done
give_up "the balancer ended by itself"
