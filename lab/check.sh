#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Every test of the project as one KTAP stream; the last line counts them.
#
#   lab/check.sh SRC [ARGUMENTS OF lab/run.py]
set -uo pipefail

[ $# -ge 1 ] || { sed -n '4,6s/^# \{0,1\}//p' "$0" >&2; exit 2; }
cd "$(dirname "$0")/.." || exit
src=$1
shift
log=build/check.ktap
number=0 status=0

# stage NAME COMMAND...: a command that prints KTAP, as one test of ours.
stage() {
	local name=$1 ok=ok
	shift
	number=$((number + 1))
	echo "# Subtest: $name" | sed 's/^/    /'
	"$@" 2>&1 | grep --line-buffered -v -x -E '[0-9]+ passed, [0-9]+ failed' | sed -u 's/^/    /'
	[ "${PIPESTATUS[0]}" = 0 ] || { ok="not ok"; status=1; }
	echo "$ok $number $name"
}

# What `make verify` says, as KTAP.
verify() {
	local output
	echo "KTAP version 1"
	echo "1..1"
	if output=$(series/tree.py verify ${LINUX:+--linux "$LINUX"} 2>&1); then
		echo "ok 1 verify"
	else
		# shellcheck disable=SC2001 # more than one line
		sed 's/^/# /' <<< "$output"
		echo "not ok 1 verify"
		return 1
	fi
}

# What style.sh has said, and will say until it ends.
styled() {
	tail -q -n +1 -f --pid="$style" "$log.style"
	return "$(cat "$log.style.status")"
}

# It compiles, and has work for one CPU; the tests of the scripts wait most of the
# time. So they run at once. In a group of its own: see main.sh.
rm -f "$log.style.status"
# shellcheck disable=SC2016 # it is the inner shell that expands
setsid bash -c '"$@"; echo $? > "$0"' "$log.style.status" lab/style.sh "$src" > "$log.style" 2>&1 &
style=$!
trap 'kill -- "-$style" 2> /dev/null; rm -f "$log.style" "$log.style.status"' EXIT

{
	echo "KTAP version 1"
	echo "1..5"
	stage lab lab/test.py
	stage series series/test.py
	stage tree verify
	stage style styled
	stage scenarios lab/run.py --src "$src" "$@"
	exit "$status"
} | tee "$log.part"
status=${PIPESTATUS[0]}
mv "$log.part" "$log"

# The stages are sums of what they hold: they do not count once more.
passed=$(grep -c '^ \+ok ' "$log")
failed=$(grep -c '^ \+not ok ' "$log")
[ "$failed" = 0 ] || grep '^ \+not ok ' "$log" >&2
if [ "$status" != 0 ] && [ "$failed" = 0 ]; then
	failed=1
	echo "lab/check.sh: a stage ended early: $(grep '^not ok' "$log")" >&2
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
