#!/usr/bin/env bash
# Sees to it that the programs which tests start as real services are there: installs them where that is possible
# (root on Debian), otherwise names what is missing and fails. It starts nothing: each test starts, on a free port,
# what it needs, and stops it.
set -euo pipefail

cd "$(dirname "$0")/.."
missing=()

# need PACKAGE PATH...: one of these programs has to be there, or the package is missing.
need() {
    local package=$1 program
    shift
    for program in "$@"; do
        if command -v "$program" >/dev/null 2>&1; then return; fi
    done
    missing+=("$package")
}

need git git
need git "$(git --exec-path 2>/dev/null || echo /usr/lib/git-core)/git-http-backend"
need openssh-server /usr/sbin/sshd sshd
need openssh-client ssh
need openssh-client ssh-keygen
if [ -d tests/browser ]; then
    need chromium chromium
fi

[ "${#missing[@]}" -gt 0 ] || exit 0
readarray -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "The tests need programs that are not installed: ${missing[*]}" >&2
    echo "Install them and call make again: sudo apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
fi

echo "Installing what the tests need: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
# A package's own service must not start here: the tests bring their own configuration and ports.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
fi
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
