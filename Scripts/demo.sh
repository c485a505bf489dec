#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs a small shop as a cluster on this machine: three instances, HAProxy in front, and a private Redis where the strategy
# needs one; loopback only.
#
#   Scripts/demo.sh PROGRAM            until Ctrl-C; the shop's page can break it (Scripts/orders.sh)
#   CHECK=1 Scripts/demo.sh PROGRAM    a scripted visitor (Scripts/visitor.sh) instead; exits with 0 or 1
#
# STRATEGY says where sessions are kept: redis (without it), memory, sealed or replicated, with a balancer that pins visitors
# for memory; hybrid is Redis with a near cache and a balancer that pins. PORT is the balancer's port for https, HTTP_PORT the
# one for http; without them free ones are taken. The certificate is made at each start. Nothing survives the script, and its
# folder of logs is removed; when something goes wrong, the end of each log is shown first.
set -uo pipefail

program=${1:?"usage: Scripts/demo.sh PROGRAM"}
home=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PATH=$PATH:/usr/sbin
exec 4>&2
readonly instances=(app1 app2 app3)

# choose STRATEGY: which store, which balancer, which processes.
choose() {
    case $1 in
        redis | replicated) store=$1 balancer=Samples/haproxy.cfg parts=(redis "${instances[@]}") ;;
        hybrid) store=redis-cached balancer=Samples/balancers/haproxy-cookie.cfg parts=(redis "${instances[@]}") ;;
        memory) store=memory balancer=Samples/balancers/haproxy-cookie.cfg parts=("${instances[@]}") ;;
        sealed) store=sealed balancer=Samples/haproxy.cfg parts=("${instances[@]}") ;;
        *) return 1 ;;
    esac
    strategy=$1
}
choose "${STRATEGY:-redis}" || {
    echo "demo: STRATEGY is redis, memory, sealed, replicated or hybrid, not “$STRATEGY”" >&2
    exit 2
}
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
    setpriv --pdeathsig KILL "$@" </dev/null >>"$folder/$name.log" 2>&1 3>&- 4>&- &
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
    # What is frozen would not stop.
    kill -s CONT "${pids[@]}" 2>/dev/null
    stop TERM traffic haproxy "${instances[@]}"
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
    done >&4
}

give_up() {
    echo "demo: $*" >&4
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

launch_instance() {
    launch "$1" env \
        STOREFRONT_HOST=127.0.0.1 \
        STOREFRONT_PORT="${ports[$1]}" \
        STOREFRONT_STORE="$store" \
        STOREFRONT_SEAL_KEYS="$seal_keys" \
        STOREFRONT_REDIS="redis://127.0.0.1:${ports[redis]}" \
        STOREFRONT_REDIS_USER= \
        STOREFRONT_REDIS_PASSWORD_FILE= \
        STOREFRONT_INSTANCE="$1" \
        STOREFRONT_PLAIN_HTTP=false \
        STOREFRONT_DEMO="$control" \
        "$program"
}

start_instance() {
    launch_instance "$1"
    until_ready "$1" 20 curl --fail --silent --max-time 2 "http://127.0.0.1:${ports[$1]}/readyz"
}

# A certificate for this machine that only this machine's browsers will ever be asked to accept.
make_certificate() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=localhost \
        -addext subjectAltName=DNS:localhost,IP:127.0.0.1 \
        -keyout "$folder/key.pem" -out "$folder/certificate.pem" >"$folder/openssl.log" 2>&1 || give_up "no certificate"
    cat "$folder/certificate.pem" "$folder/key.pem" >"$folder/site.pem"
}

start_balancer() {
    launch haproxy env \
        LISTEN="127.0.0.1:${ports[http]}" \
        LISTEN_TLS="127.0.0.1:${ports[https]}" \
        CERTIFICATE="$folder/site.pem" \
        APP1="127.0.0.1:${ports[app1]}" \
        APP2="127.0.0.1:${ports[app2]}" \
        APP3="127.0.0.1:${ports[app3]}" \
        ALIAS1="${aliases[0]}" ALIAS2="${aliases[1]}" ALIAS3="${aliases[2]}" \
        haproxy -db -f "$home/$balancer"
    until_ready haproxy 10 curl --fail --silent --max-time 2 "http://127.0.0.1:${ports[http]}/healthz"
}

start_all() {
    local name
    if has_redis; then start_redis; fi
    for name in "${instances[@]}"; do start_instance "$name"; done
    start_balancer
}

[[ -x $program ]] || give_up "there is no program at $program; run \`make demo\`"
for name in redis "${instances[@]}" http https; do free_port "$name"; done
ports[https]=${PORT:-${ports[https]}} ports[http]=${HTTP_PORT:-${ports[http]}}
readonly url=https://localhost:${ports[https]}
# Where the shop's page finds the state of the demo and leaves its orders; empty: it has no such buttons.
control=
[[ -n ${CHECK:-} ]] || control=$folder/control
make_certificate
start_all

if [[ -n $control ]]; then
    source "$home/Scripts/orders.sh"
    serve
fi
source "$home/Scripts/visitor.sh"
visit && exit 0
show_logs
exit 1
