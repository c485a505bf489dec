#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Checks the direction of dependencies: between modules by their imports, inside a module by the types that files
# name. Also that FoundationEssentials is imported with a fallback, and that every cited requirement has a row in
# Docs/Requirements.md. Prints each line that breaks a rule; exits with 1 if there is one.
#
# Usage: Scripts/layers.sh [ROOT]    ROOT is the checkout to examine; default: the one that holds this script.
set -euo pipefail
cd "${1:-$(dirname "${BASH_SOURCE[0]}")/..}"

# MARK: The rules

# Who may import whom: FOLDER | forbidden modules, as a regular expression | reason.
frameworks='Hummingbird\w*|FlyingFox\w*|Vapor'
redis='C?Hiredis\w*|RedisSessions'
transport='NIO\w*|AsyncHTTPClient|ServiceLifecycle'
imports="
Sources/Sessions              $frameworks|$redis|$transport    the core knows no framework, no Redis, no transport
Sources/Hiredis               $frameworks|\w*Sessions\w*       the Redis client knows nothing of sessions
Sources/RedisSessions         $frameworks                      stores know no framework
Sources/HummingbirdSessions   $redis                           adapters know no store
Sources/SessionsTelemetry     $frameworks|C\w*Hiredis\w*        telemetry knows stores, and no framework
Sources/sessionctl            $frameworks|CHiredis\w*          the tool uses the stores
Sources/SessionsTesting       $frameworks|$redis|$transport    the test kit depends on the core alone
Samples                       CHiredis\w*                       samples use the public modules
Snippets                      CHiredis\w*                       snippets use the public modules
"

# Who may name whose types, inside Sources. A file belongs to the first row with a matching pattern (`*` stays within a
# folder, `**` does not), and may name types declared in its own row and in the rows it lists; `-` lists none. A row
# lists only rows above it, so there are no circles. Modules with a row need one for each of their files.
#
# LAYER       FILES                                                      MAY NAME
layers='
values        Sessions/{PrincipalName*,Session{Codec,Error,Instant,Key,Limits,Policy,Terms,Times}*} -
credential    Sessions/Credential/*                                      values
cookie        Sessions/Cookie/*                                          values credential
store         Sessions/Store/*                                           values credential cookie
identity      Sessions/Request/RequestIdentity*                          -
events        Sessions/SessionEvent*                                     values credential store identity
caching       Sessions/Request/CacheControl*                             -
origin        Sessions/Origin/*                                          values credential
uses          Sessions/Request/SessionUse*                               values credential store
changes       Sessions/Request/{PendingChanges,CommittedUpdate}*         values credential store uses
commit        Sessions/Request/{Commit,CombinedCommit,NewSession}*       values credential events store changes
session       Sessions/{Session.swift,Session+*,AttributeCoder*}          values credential events store uses changes commit
transport     Sessions/Request/TransportCheck*                           values events cookie
revocations   Sessions/Request/RecentRevocations*                        values identity
manager       Sessions/SessionManager*                                   values credential events store cookie uses session commit transport revocations identity
request       Sessions/Request/*                                         values credential events store cookie caching origin uses changes commit session manager transport revocations identity
memory        Sessions/Stores/Memory/*                                   values credential store
sealed        Sessions/Stores/Sealed/*                                   values credential store cookie
hybrid        Sessions/Stores/Hybrid/*                                   values credential store cookie sealed
migration     Sessions/Stores/Migration/*                                values credential store cookie
commands      Hiredis/*                                                  -
scripts       Hiredis/Client/ScriptLibrary*                              commands
connection    Hiredis/Connection/*                                       commands scripts
client        Hiredis/Client/{Dedicated,Pending,RedisDed,RedisNode,Replica,Request,Sentinel,Shared}*  commands scripts connection
cluster       Hiredis/Cluster/*                                          commands scripts connection client
facade        Hiredis/Client/*                                           commands scripts connection client cluster
redis         RedisSessions/*                                            -
replicated    RedisSessions/Replicated/**                                redis
nearcache     RedisSessions/NearCache/**                                 redis
operations    RedisSessions/Operations/**                                redis nearcache
'

# MARK: The checks

failed=0

# report REASON LINES: prints the lines, if there are any, under the reason.
report() {
    [[ -z $2 ]] && return
    printf 'layers: %s\n%s\n' "$1" "$2" >&2
    failed=1
}

# importing MODULES FOLDER…: the lines in the folders that import one of the modules.
importing() {
    local modules=$1 kinds='struct|class|enum|protocol|func|var|let|typealias'
    shift
    grep -rnE "^[^/\"]*\bimport +(($kinds) +)?($modules)\b" --include='*.swift' "$@" 2>/dev/null || true
}

while read -r folder modules reason; do
    [[ -z $folder ]] || report "$reason" "$(importing "$modules" "$folder")"
done <<<"$imports"

files=$(importing 'CHiredis\w*' Sources Tests Samples | cut -d: -f1 | sort -u)
if [[ $(grep -c . <<<"$files") -gt 2 || -n $(grep -v '^Sources/Hiredis/' <<<"$files" | grep .) ]]; then
    report "at most two files, both in Sources/Hiredis, import CHiredis" "$files"
fi
report "CHiredis stays inside its module" "$(importing 'CHiredis\w*' Sources | grep -E '(public|package|@_exported) ' || true)"

# Names between the layers. Only types at the top level of a file count, without private ones: the others cannot be
# named elsewhere, or only after the name of one that counts.
named=$(
    { echo "$layers"; find Sources -name '*.swift' | sort; } | awk '
        # Turns a pattern with *, ** and {a,b} into a regular expression.
        function expression(pattern) {
            gsub(/[.+]/, "\\\\&", pattern); gsub(/\*\*/, "@", pattern)
            gsub(/\*/, "[^/]*", pattern); gsub(/@/, ".*", pattern)
            gsub(/\{/, "(", pattern); gsub(/\}/, ")", pattern); gsub(/,/, "|", pattern)
            return "^" pattern "$"
        }
        function layer(path, i) {
            for (i = 1; i <= rows; i++) if (path ~ pattern[i]) return name[i]
            return ""
        }
        # A line without its strings and comment.
        function code(line) {
            gsub(/"([^"\\]|\\.)*"/, "\"\"", line); sub(/\/\/.*/, "", line)
            return line
        }
        NF >= 3 {
            for (i = 3; i <= NF; i++) {
                allowed[$1, $i] = 1
                if ($i != "-" && !($i in known)) print "Scripts/layers.sh: " $1 " lists " $i ", which is no row above it"
            }
            name[++rows] = $1; pattern[rows] = expression($2); known[$1]; allowed[$1, $1] = 1
            split($2, parts, "/"); modules[parts[1]] = 1
        }
        /^Sources\// {
            path = substr($0, 9); split(path, parts, "/")
            if (!(parts[1] in modules)) next
            own = layer(path)
            if (own == "") { print $0 ": belongs to no row of the table in Scripts/layers.sh"; next }
            of[$0] = own; files[++count] = $0
            while ((getline line < $0) > 0) {
                if (line ~ /^(private|fileprivate) /) continue
                if (match(line, /^([a-z@()]+ )*(struct|class|enum|protocol|actor|typealias) [A-Z][A-Za-z0-9]*/)) {
                    word = substr(line, 1, RLENGTH); sub(/.* /, "", word); declared[parts[1], word] = own
                }
            }
            close($0)
        }
        END {
            for (i = 1; i <= count; i++) {
                file = files[i]; split(substr(file, 9), parts, "/"); number = 0
                while ((getline line < file) > 0) {
                    number++; line = code(line)
                    while (match(line, /[A-Za-z_][A-Za-z0-9_]*/)) {
                        word = substr(line, RSTART, RLENGTH)
                        isMember = RSTART > 1 && substr(line, RSTART - 1, 1) == "."
                        line = substr(line, RSTART + RLENGTH)
                        if (isMember || !((parts[1], word) in declared)) continue
                        other = declared[parts[1], word]
                        if ((of[file], other) in allowed || (file, word) in told) continue
                        told[file, word] = 1
                        print file ":" number ": " of[file] " names " word ", which is in " other
                    }
                }
                close(file)
            }
        }'
)
report "a file names a type that its layer may not know (the table is in Scripts/layers.sh)" "$named"

# Apple's SDKs have no module of this name, so each import needs #if canImport(FoundationEssentials) and #else.
unguarded=$(
    find Package.swift Sources Tests Samples Snippets Benchmarks -name .build -prune -o -name '*.swift' -print 2>/dev/null |
        xargs awk '
            /^[^\/"]*import +FoundationEssentials/ && last !~ /#if canImport\(FoundationEssentials\)/ {
                print FILENAME ":" FNR ": " $0
            }
            NF { last = $0 }' || true
)
report "import FoundationEssentials without #if canImport(FoundationEssentials)" "$unguarded"

# Requirements are cited as R and two digits, in parentheses, after "Source:" or in a list.
if [[ -d Sources ]]; then
    rows=$(grep -oE '^\| R[0-9]{2} ' Docs/Requirements.md 2>/dev/null | grep -oE 'R[0-9]{2}' || true)
    cited=$(grep -rnoE '\bR[0-9]{2}\b' --include='*.swift' --include='*.lua' --include='*.h' --include='*.md' Sources Tests || true)
    report "cited without a row in Docs/Requirements.md" "$(grep -vE ":($(paste -sd'|' <<<"${rows:-none}"))\$" <<<"$cited" || true)"
fi

[[ $failed -eq 0 ]] && echo "layers: ok"
exit $failed
