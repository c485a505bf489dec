# SPDX-License-Identifier: Apache-2.0
#
# The scripted visitor of `make demo CHECK=1`; sourced by Scripts/demo.sh, whose functions and names it uses.
#
# One line per observation: `ok` or `FAIL`. The visitor never tries again; the balancer does, for reads that were in flight
# on the instance that is killed with SIGKILL.

failures=0

# expect SENTENCE COMMAND…: one observation.
expect() {
    local sentence=$1
    shift
    if "$@"; then
        echo "ok    $sentence"
    else
        echo "FAIL  $sentence  (last answer: ${status:-none} from ${instance:-no instance})"
        failures=$((failures + 1))
    fi
}

# ask JAR METHOD PATH [FORM-FIELD…]: one request through the balancer, as a browser with that cookie jar.
# Leaves its answer in $status, $instance, $headers and $body.
ask() {
    local browser=$folder/$1 method=$2 path=$3 fields=() field
    shift 3
    for field in "$@"; do fields+=(--data-urlencode "$field"); done
    [[ $method == POST && $# -eq 0 ]] && fields=(--data "")
    : >"$browser.head" >"$browser.body"
    status=$(curl --silent --max-time 8 --cacert "$folder/certificate.pem" --request "$method" "${fields[@]}" --cookie "$browser.jar" --cookie-jar "$browser.jar" \
        --dump-header "$browser.head" --output "$browser.body" --write-out '%{http_code}' "$url$path")
    headers=$(tr -d '\r' <"$browser.head")
    body=$(<"$browser.body")
    instance=$(header X-Instance)
}

# header NAME: the value of a header of the last answer.
header() { sed -n "s/^$1: *//Ip" <<<"$headers" | head -n 1; }

# shown ID: the text of the element with that id on the last page.
shown() { sed -n "s/.*id=\"$1\"[^>]*>\([^<]*\)<.*/\1/p" <<<"$body" | head -n 1; }

# on_each JAR COUNT COMMAND…: reads the shop until that many instances have answered; on each the command must hold.
on_each() {
    local jar=$1 count=$2
    local -A seen=()
    shift 2
    for _ in {1..30}; do
        ask "$jar" GET /
        [[ $status == 200 ]] || return 1
        "$@" || return 1
        seen[$instance]=1
        [[ ${#seen[@]} -eq $count ]] && return 0
    done
    return 1
}

is_signed_in_as() { [[ $(shown user) == "$1" ]]; }
is_anonymous() { [[ -z $(shown user) && $body == *'action="/sign-in"'* ]]; }
is_anonymous_with_nothing() { is_anonymous && has_items 0; }
has_items() { [[ $(shown cart-count) == "$1" ]]; }
is_ada_with_items() { is_signed_in_as Ada && has_items "$1"; }
is_redirect() { [[ $status == 303 ]]; }

# post JAR PATH [FIELD…]: a form; true when it was accepted.
post() { ask "$1" POST "${@:2}" && is_redirect; }

# keep_asking JAR METHOD PATH [FIELD…]: the same request again and again until $folder/enough exists; each status goes
# to JAR.statuses.
keep_asking() {
    local jar=$1 method=$2 path=$3
    shift 3
    while [[ ! -e $folder/enough ]]; do
        ask "$jar" "$method" "$path" "$@"
        echo "$status" >>"$folder/$jar.statuses"
    done
}

# meanwhile JAR METHOD PATH [FIELD…] -- COMMAND…: runs the command while three tabs of that browser keep asking;
# each has had an answer before it starts.
meanwhile() {
    local jar=$1 asking=() tabs=() tab
    shift
    while [[ $1 != -- ]]; do
        asking+=("$1")
        shift
    done
    shift
    rm -f "$folder/enough"
    for tab in 1 2 3; do
        : >"$folder/$jar-$tab.statuses"
        cp "$folder/$jar.jar" "$folder/$jar-$tab.jar"
        keep_asking "$jar-$tab" "${asking[@]}" &
        tabs+=($!)
    done
    for tab in 1 2 3; do
        for _ in {1..100}; do
            [[ -s $folder/$jar-$tab.statuses ]] && break
            sleep 0.1
        done
    done
    "$@"
    touch "$folder/enough"
    wait "${tabs[@]}"
}

# count JAR STATUS: how often the tabs that kept asking got that answer; `other JAR STATUS`: any other answer.
count() { cat "$folder/$1"-?.statuses | grep -cx "$2"; }
other() { cat "$folder/$1"-?.statuses | grep -cvx "$2"; }

kill_outright() {
    kill -s KILL "${pids[$1]}"
    wait "${pids[$1]}" 2>/dev/null
    unset "pids[$1]"
    # Long enough for the balancer's checks, which are what keeps later visitors off the dead instance.
    sleep 1.5
}

roll() {
    stop TERM "$1"
    start_instance "$1"
    sleep 1.5
}

# What a strategy promises. Pinned visitors are always on one instance; memory dies with its instance; a sealed cookie is
# the session itself, so only its holder can change or end it.
if is_pinned; then where="on the same instance each time"; else where="on each instance"; fi
survives_instances() { [[ $strategy != memory ]]; }
is_kept_on_servers() { [[ $strategy != sealed ]]; }

# everywhere JAR COMMAND…: the command holds wherever the balancer leads that visitor.
everywhere() {
    local jar=$1 name running=0 home
    shift
    for name in "${instances[@]}"; do is_running "$name" && running=$((running + 1)); done
    if ! is_pinned; then
        on_each "$jar" "$running" "$@"
        return
    fi
    ask "$jar" GET /
    home=$instance
    for _ in {1..12}; do
        ask "$jar" GET /
        [[ $status == 200 && $instance == "$home" ]] && "$@" || return 1
    done
}

# find_instance JAR: leaves in $instance where that visitor is led to.
find_instance() { ask "$1" GET /; }

# settle_elsewhere JAR USER INSTANCE: signs in on another instance than that one, where visitors are pinned.
settle_elsewhere() {
    for _ in {1..10}; do
        rm -f "$folder/$1.jar"
        find_instance "$1"
        ! is_pinned || [[ $instance != "$3" ]] && break
    done
    post "$1" /sign-in name="$2"
}

shopping() {
    post ada /cart product=lamp
    ask ada GET /
    expect "an anonymous visitor has a cart" has_items 1
    cp "$folder/ada.jar" "$folder/before.jar"
    expect "Ada signs in" post ada /sign-in name=Ada
    expect "Ada is signed in $where, and her cart came along" everywhere ada is_ada_with_items 1
    if is_kept_on_servers; then
        expect "the cookie from before the sign-in opens nothing" everywhere before is_anonymous_with_nothing
    else
        expect "the cookie from before the sign-in opens the cart from before, and no more" everywhere before is_anonymous
    fi
    for product in mug mug chair; do post ada /cart product="$product" || break; done
    expect "four things are in the cart, seen $where" everywhere ada is_ada_with_items 4
}

crash() {
    local victim
    find_instance ada
    victim=$instance
    settle_elsewhere bob Bob "$victim"
    # Reads that are in flight on an instance that is killed may be cut; the balancer repeats them on another one.
    cp "$folder/ada.jar" "$folder/reader.jar"
    meanwhile reader GET / -- kill_outright "$victim"
    expect "$victim is killed (kill -9): none of $(count reader 200) reads in the meantime failed (the balancer repeats a read that was cut)" \
        [ "$(other reader 200)" -eq 0 ]
    if survives_instances; then
        expect "Ada is still signed in $where, with her cart complete" everywhere ada is_ada_with_items 4
    else
        expect "Ada was on $victim and is lost with it: anonymous, with an empty cart" everywhere ada is_anonymous_with_nothing
        expect "Bob was on another one and sees nothing of it" everywhere bob is_signed_in_as Bob
        expect "Ada signs in again" post ada /sign-in name=Ada
        for product in lamp mug mug chair; do post ada /cart product="$product" || break; done
    fi
    post ada /cart product=lamp
    expect "and she goes on shopping" everywhere ada is_ada_with_items 5
    start_instance "$victim"
    # Long enough for the balancer to see it.
    sleep 1
    expect "$victim is back, and Ada has what she had" everywhere ada is_ada_with_items 5
}

restart() {
    local victim bought tab
    find_instance ada
    settle_elsewhere bob Bob "$instance"
    find_instance bob
    victim=$instance
    meanwhile bob POST /cart product=mug -- roll "$victim"
    bought=$(count bob 303)
    expect "$victim is restarted while Bob goes on buying in three tabs: none of his $bought purchases failed, without a retry" \
        [ "$(other bob 303)" -eq 0 ]
    if ! is_kept_on_servers; then
        for tab in 1 2 3; do
            expect "each purchase is in the cookie of its tab (tab $tab)" everywhere bob-$tab has_items "$(grep -cx 303 "$folder/bob-$tab.statuses")"
        done
    elif survives_instances; then
        expect "and each of them is in his cart: no update was lost" everywhere bob has_items "$bought"
    else
        expect "but what was in the memory of $victim is gone: Bob is anonymous, with an empty cart" everywhere bob is_anonymous_with_nothing
    fi
    expect "Ada saw nothing of it" everywhere ada is_ada_with_items 5
}

devices() {
    local home
    find_instance ada
    home=$instance
    settle_elsewhere laptop Ada "$home"
    expect "Ada signs in on a second device" everywhere laptop is_signed_in_as Ada
    ask ada GET /devices
    if ! is_kept_on_servers; then
        expect "there is no list of devices in browsers, and the page says so" [ "$status" = 501 ]
        return
    fi
    if ! survives_instances; then
        expect "her device list knows only the one on $home" [ "$(shown device-count)" = 1 ]
        return
    fi
    expect "her device list has two entries" [ "$(shown device-count)" = 2 ]
    expect "she signs out all other devices" post ada /devices/sign-out-others
    expect "the other device is signed out $where" everywhere laptop is_anonymous
    expect "this one is not" everywhere ada is_ada_with_items 5
}

signing_out() {
    cp "$folder/ada.jar" "$folder/kept.jar"
    expect "Ada signs out" post ada /sign-out
    expect "she is signed out $where" everywhere ada is_anonymous
    if is_kept_on_servers; then
        expect "a copy of her cookie is worth nothing $where" everywhere kept is_anonymous
    else
        expect "a copy of her cookie stays valid until it expires: no server remembers that she left" everywhere kept is_signed_in_as Ada
    fi
}

outage() {
    if ! has_redis; then
        echo "      there is no Redis that could go away"
        return
    fi
    post bob /sign-in name=Bob
    # The welcome is shown once, which is a change.
    ask bob GET /
    cp "$folder/bob.jar" "$folder/outage.jar"
    stop TERM redis
    if [[ $strategy == replicated ]]; then
        expect "without Redis, Bob is known $where: each has a copy" everywhere outage is_signed_in_as Bob
        ask outage POST /cart product=mug
    else
        ask outage GET /
    fi
    expect "what needs Redis is answered with 503" [ "$status" = 503 ]
    expect "it says when to come back (Retry-After: $(header Retry-After))" [ -n "$(header Retry-After)" ]
    expect "it does not touch the cookie" [ -z "$(header Set-Cookie)" ]
    start_redis
    local end=$((SECONDS + 10))
    until everywhere bob true || ((SECONDS >= end)); do sleep 0.2; done
    if [[ $strategy == replicated ]]; then
        expect "Redis is back, empty: the instances have filled it, and Bob is known $where" everywhere bob is_signed_in_as Bob
        return
    fi
    expect "Redis is back, empty: Bob is cleanly anonymous $where" everywhere bob is_anonymous
    # His dead cookie was deleted by the first instance: only now do the others need Redis, and each comes back in its own time.
    until post bob /sign-in name=Bob && everywhere bob is_signed_in_as Bob || ((SECONDS >= end)); do sleep 0.2; done
    expect "and can sign in again" post bob /sign-in name=Bob
    expect "and is known $where" everywhere bob is_signed_in_as Bob
}

visit() {
    echo "A visitor walks through $url; strategy: $strategy"
    shopping
    crash
    restart
    devices
    signing_out
    outage
    if [[ $failures -gt 0 ]]; then
        echo "$failures observations FAILED"
        return 1
    fi
    echo "all as it should be"
}
