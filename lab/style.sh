#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Linters over our scripts, checkpatch over the series, sparse and W=1 over the
# kernel files that the series add or change, what Kconfig allows. Prints KTAP.
#
#   lab/style.sh SRC
# shellcheck disable=SC2317 # ok calls the functions below
set -uo pipefail

[ $# = 1 ] || { sed -n '4,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
cd "$(dirname "$0")/.." || exit
src=$(realpath "$1")
number=0 status=0

ok() {
	local name=$1 output
	shift
	number=$((number + 1))
	if output=$("$@" 2>&1); then
		echo "ok $number $name"
	else
		# shellcheck disable=SC2001 # more than one line
		echo "$output" | tail -n 30 | sed 's/^/# /'
		echo "not ok $number $name"
		status=1
	fi
}

checkpatch() {
	# Its helpers are Python and need Debian's modules. MAINTAINERS is ours.
	(cd "$src" && PATH=/usr/bin:$PATH scripts/checkpatch.pl --strict --no-signoff --terse \
		--showfile --ignore FILE_PATH_CHANGES --git "$1")
}

# What sparse and W=1 say of these files; they warn of others of mainline, too.
static_checks() {
	local arch=$1 cross=$2 output
	shift 2
	export CCACHE_DIR=${XDG_CACHE_HOME:-$HOME/.cache}/tee-linux/ccache CCACHE_NOHASHDIR=1
	output=$(make -C "$src" -s O="$src/.build-$arch" ARCH="${arch/x86_64/x86}" \
		      CROSS_COMPILE="$cross" CC="ccache ${cross}gcc" W=1 C=2 CHECK="$sparse" \
		      -j"$(nproc)" "${@/%.c/.o}" 2>&1) || { echo "$output"; return 1; }
	! grep -F "$(printf '%s\n' "$@")" <<< "$output"
}

sparse=$(lab/sparse.sh) || exit 1
scripts=$(git grep --untracked -l -e '^#!/bin/sh' -e '^#!/bin/bash' -- lab series .ci)
pythons=$(git ls-files -co --exclude-standard 'lab/*.py' 'series/*.py')
echo "KTAP version 1"
# shellcheck disable=SC2086 # one word a file
{
	ok shellcheck shellcheck -x $scripts
	ok pyflakes /usr/bin/python3 -m pyflakes $pythons
}
ok 'CRB over FF-A built in and as a module' lab/kernel/mixes.sh "$src"
for topic in $(git -C "$src" for-each-ref --format='%(refname:short)' refs/heads/topic); do
	ok "checkpatch ${topic#topic/}" checkpatch "base..$topic"
done
changed=$(git -C "$src" diff --name-only --diff-filter=AM base integration -- '*.c' ':!tools')
checked=
for arch in arm64 x86_64; do
	cross=
	[ "$arch" = x86_64 ] || cross=aarch64-linux-gnu-
	files=$(for file in $changed; do
			[ ! -e "$src/.build-$arch/${file%.c}.o" ] || echo "$file"
		done)
	# shellcheck disable=SC2086 # one word a file
	[ -z "$files" ] || ok "sparse and W=1 on $arch" static_checks "$arch" "$cross" $files
	checked="$checked $files"
done
for file in $changed; do
	[[ $checked == *"$file"* ]] || echo "# in no kernel of make check, so not looked at: $file"
done
echo "1..$number"
exit "$status"
