#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Linters over our scripts, checkpatch over the series, sparse and W=1 over the
# kernel files that the series add or change. Prints KTAP.
#
#   lab/style.sh SRC
# shellcheck disable=SC2317 # ok calls the functions below
set -uo pipefail

cd "$(dirname "$0")/.." || exit
src=$1
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

# Silent is clean: some checkers warn and end with 0 all the same.
silent() {
	local output
	if output=$("$@" 2>&1) && [ -z "$output" ]; then
		return
	fi
	echo "$output"
	return 1
}

checkpatch() {
	local range=$1
	"$src/scripts/checkpatch.pl" --root "$src" --strict --no-signoff --terse --showfile --quiet \
		--codespell --git "$range" --ignore FILE_PATH_CHANGES
}

static_checks() {
	local arch=$1 cross=$2
	shift 2
	export CCACHE_DIR=${XDG_CACHE_HOME:-$HOME/.cache}/tee-linux/ccache CCACHE_NOHASHDIR=1
	silent make -C "$src" -s O="$src/.build-$arch" ARCH="${arch/x86_64/x86}" \
		CROSS_COMPILE="$cross" CC="ccache ${cross}gcc" W=1 C=2 CHECK="$sparse" "$@"
}

sparse=$(lab/sparse.sh) || exit 1
scripts=$(git grep --untracked -l -e '^#!/bin/sh' -e '^#!/bin/bash' -- lab series .ci)
pythons=$(git ls-files -co --exclude-standard 'lab/*.py' 'series/*.py')
echo "KTAP version 1"
# shellcheck disable=SC2086 # one word a file
{
	ok shellcheck shellcheck $scripts
	ok pyflakes /usr/bin/python3 -m pyflakes $pythons
}
for topic in $(git -C "$src" for-each-ref --format='%(refname:short)' refs/heads/topic); do
	ok "checkpatch ${topic#topic/}" silent checkpatch "base..$topic"
	files=$(git -C "$src" diff --name-only --diff-filter=AM "base..$topic" -- '*.c')
	for file in $files; do
		for arch in arm64 x86_64; do
			[ -e "$src/.build-$arch/${file%.c}.o" ] || continue
			cross=
			[ "$arch" = x86_64 ] || cross=aarch64-linux-gnu-
			ok "sparse and W=1 $arch $file" static_checks "$arch" "$cross" "${file%.c}.o"
		done
	done
done
echo "1..$number"
exit "$status"
