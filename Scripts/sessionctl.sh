#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds sessionctl and installs it with its man page and its completions, which are made from the program itself.
#
# Usage: Scripts/sessionctl.sh PREFIX [CONFIGURATION]    PREFIX is /usr/local, for example; CONFIGURATION is release or debug.
set -euo pipefail
mkdir -p "$1"
prefix=$(cd "$1" && pwd) configuration=${2:-release}
cd "$(dirname "${BASH_SOURCE[0]}")/.."

swift build -c "$configuration" --product sessionctl
program="$(swift build -c "$configuration" --show-bin-path)/sessionctl"
# The plugin itself would build every program of the package first: this makes its tool.
swift package generate-manual --help >/dev/null
tool="$(swift build --show-bin-path)/generate-manual-tool"

install -d "$prefix/share/man/man1" "$prefix/share/bash-completion/completions" \
    "$prefix/share/zsh/site-functions" "$prefix/share/fish/vendor_completions.d"
install -D -m 755 "$program" "$prefix/bin/sessionctl"
"$tool" "$program" --output-directory "$prefix/share/man/man1"
"$program" --generate-completion-script bash >"$prefix/share/bash-completion/completions/sessionctl"
"$program" --generate-completion-script zsh >"$prefix/share/zsh/site-functions/_sessionctl"
"$program" --generate-completion-script fish >"$prefix/share/fish/vendor_completions.d/sessionctl.fish"
"$prefix/bin/sessionctl" schema >/dev/null
echo "installed $prefix/bin/sessionctl"
