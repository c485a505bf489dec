# SPDX-License-Identifier: Apache-2.0
#
# The demo as it runs until Ctrl-C; sourced by Scripts/demo.sh, whose functions and names it uses.
#
# The shop's page and this script meet in the folder $control:
#   orders            a pipe: one order a line, written by instances and by the traffic
#   status            NAME=STATE of each part and of the strategy, in one line
#   events            what happened, one line each
#   ledger-STRATEGY   what `Storefront traffic` has counted

readonly pause=5
# When a part that has ended is started, and when one that is frozen goes on.
declare -A due=() thaw_at=()

note() {
    echo "  $*"
    printf '%(%H:%M:%S)T %s\n' -1 "$*" >>"$control/events"
}

write_status() {
    local name status="strategy=$strategy"
    for name in "${parts[@]}"; do
        if ! is_running "$name"; then
            status+=" $name=down"
        elif [[ -n ${thaw_at[$name]:-} ]]; then
            status+=" $name=frozen"
        else
            status+=" $name=up"
        fi
    done
    [[ $status == "${last_status:-}" ]] && return
    last_status=$status
    echo "$status" >"$control/status.new" && mv "$control/status.new" "$control/status"
}

start_traffic() {
    launch traffic "$program" traffic --balancer "${ports[http]}" --folder "$control" --strategy "$strategy"
}

freeze() {
    is_running "$1" && [[ -z ${thaw_at[$1]:-} ]] || return
    kill -s STOP "${pids[$1]}"
    thaw_at[$1]=$((SECONDS + pause))
    local news=
    [[ $1 == app* && $store != redis ]] && has_redis && news="; what others change reaches it late"
    note "$1 is frozen for $pause seconds$news"
}

thaw() {
    local name
    for name in "$@"; do
        unset "thaw_at[$name]"
        is_running "$name" && kill -s CONT "${pids[$name]}" && note "$name goes on"
    done
}

# obey ORDER [NAME]: unknown orders and names are ignored. `note` is what the traffic tells.
obey() {
    case "$1 ${2:-}" in
        "note "*) note "${*:2}" ;;
        "kill app"[123])
            is_running "$2" || return
            # The page that asks for it may come from this instance, and is on its way.
            sleep 0.2
            kill -s KILL "${pids[$2]}"
            unset "thaw_at[$2]"
            due[$2]=$((SECONDS + pause))
            note "$2 is killed (kill -9); it comes back in $pause seconds"
            ;;
        "restart app"[123])
            is_running "$2" && [[ -z ${thaw_at[$2]:-} ]] || return
            kill -s TERM "${pids[$2]}"
            note "$2 is told to stop: it serves until the balancer looks elsewhere"
            ;;
        "freeze app"[123] | "freeze redis")
            sleep 0.2
            freeze "$2"
            ;;
        "empty redis")
            is_running redis && [[ -z ${thaw_at[redis]:-} ]] || return
            redis-cli -h 127.0.0.1 -p "${ports[redis]}" flushall >/dev/null
            note "redis is emptied"
            ;;
        "tabs ")
            is_running traffic && kill -s USR1 "${pids[traffic]}" && note "two tabs change one session at once"
            ;;
        "switch "*) switch "$2" ;;
    esac
}

switch() {
    [[ $1 != "$strategy" ]] || return
    local previous=$strategy
    choose "$1" || return
    thaw "${!thaw_at[@]}"
    note "the strategy changes from $previous to $strategy: sessions start anew"
    # The answer to the page that asks for it is on its way.
    sleep 0.2
    stop TERM traffic haproxy
    stop KILL "${instances[@]}"
    stop TERM redis
    due=()
    start_all
    start_traffic
    write_status
    note "the shop is open again, with $strategy"
}

# revive: what has ended is started after a while, as a supervisor would.
revive() {
    local name
    for name in "${parts[@]}" traffic; do
        is_running "$name" && continue
        if [[ -z ${due[$name]:-} ]]; then
            due[$name]=$((SECONDS + pause))
            note "$name has ended; it comes back in $pause seconds"
        elif ((SECONDS >= due[$name])); then
            unset "due[$name]"
            case $name in
                redis) start_redis ;;
                traffic) start_traffic ;;
                *) launch_instance "$name" ;;
            esac
            note "$name is back as process ${pids[$name]}"
        fi
    done
}

announce() {
    cat <<EOF

  The shop is open:  $url    (the browser warns, as the certificate is the demo's own:
                     choose “Advanced”, then “Proceed to localhost” or “Accept the risk and continue”)
  without TLS:       http://localhost:${ports[http]}    (browsers keep the Secure cookie on localhost, too)

  $(is_pinned && echo "The balancer keeps you on one of three instances." || echo "Reload, and another of three instances answers.")
  Break it with the buttons of the page, or kill -9 these; what ends comes back after $pause seconds. Ctrl-C stops everything.

EOF
    local name
    for name in "${parts[@]}"; do echo "  $name   127.0.0.1:${ports[$name]}   process ${pids[$name]}"; done
    echo
}

serve() {
    local order=() name
    mkdir -m 700 "$control"
    mkfifo -m 600 "$control/orders"
    exec 3<>"$control/orders"
    # Where bash reports each child that was killed.
    exec 2>"$folder/supervisor.log"
    : >"$control/events"
    start_traffic
    announce
    while is_running haproxy; do
        write_status
        # Looks first: a `read` that runs out of time drops the part of a line that it has read.
        if read -t 0 -u 3; then read -r -a order -u 3 && obey "${order[@]}"; else sleep 0.2; fi
        for name in "${!thaw_at[@]}"; do ((SECONDS < thaw_at[$name])) || thaw "$name"; done
        revive
    done
    give_up "the balancer ended by itself"
}
