# SPDX-License-Identifier: Apache-2.0
#
# The scripted visitor of `make demo CHECK=1`; sourced by Scripts/demo.sh, whose functions and names it uses.
#
# One line per observation: `ok` or `FAIL`. Nothing is retried, with one exception that says so: reads that were in flight
# on the instance that is killed with SIGKILL.

failures=0

# expect SENTENCE COMMAND…: one observation.
expect() {
    local sentence=$1
    shift
    if "$@"; then
        echo "ok    $sentence"
    else
        echo "FAIL  $sentence  (last answer: ${status:-none} from ${instance:-nobody})"
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
    status=$(curl --silent --max-time 8 --request "$method" "${fields[@]}" --cookie "$browser.jar" --cookie-jar "$browser.jar" \
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

# meanwhile JAR METHOD PATH [FIELD…] -- COMMAND…: runs the command while three tabs of that browser keep asking.
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

visit() {
    echo "A visitor walks through $url"

    post ada /cart product=lamp
    ask ada GET /
    expect "an anonymous visitor has a cart" has_items 1
    cp "$folder/ada.jar" "$folder/before.jar"
    expect "Ada signs in" post ada /sign-in name=Ada
    expect "Ada is signed in on each of the three instances, and her cart came along" on_each ada 3 is_ada_with_items 1
    expect "the cookie from before the sign-in opens nothing" on_each before 3 is_anonymous_with_nothing
    for product in mug mug chair; do post ada /cart product="$product" || break; done
    expect "four things are in the cart, seen from each instance" on_each ada 3 is_ada_with_items 4

    # Reads that are in flight on an instance that is killed may be cut; each is asked once more by the balancer.
    cp "$folder/ada.jar" "$folder/reader.jar"
    meanwhile reader GET / -- kill_outright app2
    expect "app2 is killed (kill -9): none of $(count reader 200) reads in the meantime failed (cut reads are repeated once by the balancer)" \
        [ "$(other reader 200)" -eq 0 ]
    expect "Ada is still signed in on the other two, with her cart complete" on_each ada 2 is_ada_with_items 4
    post ada /cart product=lamp
    expect "and she goes on shopping" on_each ada 2 is_ada_with_items 5
    start_instance app2
    expect "app2 is back and knows her" on_each ada 3 is_ada_with_items 5

    ask bob GET /
    post bob /sign-in name=Bob
    meanwhile bob POST /cart product=mug -- roll app3
    local bought
    bought=$(count bob 303)
    expect "app3 is restarted while Bob goes on buying in three tabs: none of his $bought purchases failed, without a retry" \
        [ "$(other bob 303)" -eq 0 ]
    expect "and each of them is in his cart: no update was lost" on_each bob 3 has_items "$bought"
    expect "Ada saw nothing of it" on_each ada 3 is_ada_with_items 5

    post laptop /sign-in name=Ada
    expect "Ada signs in on a second device: each instance lists both" on_each laptop 3 is_signed_in_as Ada
    ask ada GET /devices
    expect "her device list has two entries" [ "$(shown device-count)" = 2 ]
    expect "she signs out all other devices" post ada /devices/sign-out-others
    expect "the other device is signed out on each instance" on_each laptop 3 is_anonymous
    expect "this one is not" on_each ada 3 is_ada_with_items 5

    cp "$folder/ada.jar" "$folder/kept.jar"
    expect "Ada signs out" post ada /sign-out
    expect "she is signed out on each instance" on_each ada 3 is_anonymous
    expect "a copy of her cookie is worth nothing on any instance" on_each kept 3 is_anonymous

    cp "$folder/bob.jar" "$folder/outage.jar"
    stop TERM redis
    ask outage GET /
    expect "without Redis the answer is 503" [ "$status" = 503 ]
    expect "it says when to come back (Retry-After: $(header Retry-After))" [ -n "$(header Retry-After)" ]
    expect "it does not touch the cookie" [ -z "$(header Set-Cookie)" ]
    start_redis
    local end=$((SECONDS + 10))
    until on_each bob 3 true || ((SECONDS >= end)); do sleep 0.2; done
    expect "Redis is back, empty: Bob is cleanly anonymous on each instance" on_each bob 3 is_anonymous
    expect "and can sign in again" post bob /sign-in name=Bob
    expect "on each instance" on_each bob 3 is_signed_in_as Bob

    if [[ $failures -gt 0 ]]; then
        echo "$failures observations FAILED"
        return 1
    fi
    echo "all as it should be"
}
