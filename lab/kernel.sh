#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Configure and build a kernel of the lab.
#
#   lab/kernel.sh SRC ARCH VARIANT [FRAGMENT...]
#
# SRC is a kernel tree, ARCH is arm64 or x86_64, VARIANT is plain, debug, kcsan,
# modules, order (with KVM, and lab/kernel/order.patch), sync (the same, and
# IMA_INIT_LATE_SYNC), debug-order (debug, and that patch), debug-modules (debug
# and modules), ffa-module (the FF-A core is one), psp, gcov or size. The
# objects go to SRC/.build-ARCH[-VARIANT]: as a direct child of SRC, the
# compiler sees the same relative paths whatever the tree is called, so that
# ccache serves the fork, the base and each topic from one cache. The selftests
# go to kselftest/ there. Prints the path of the image.
set -euo pipefail

[ $# -ge 3 ] || { sed -n '4,15s/^# \{0,1\}//p' "$0" >&2; exit 2; }
top=$(cd "$(dirname "$0")/.." && pwd)
src=$(realpath "$1") arch=$2 variant=$3
shift 3
out=$src/.build-$arch
[ "$variant" = plain ] || out=$out-$variant
# See main.sh.
trap 'exit 130' INT
name=$(basename "$src")/${out##*.build-}

die() {
	echo "lab/kernel.sh: $*" >&2
	exit 1
}

case $arch in
arm64)	karch=arm64 cross=aarch64-linux-gnu- image=arch/arm64/boot/Image
	native=arch/arm64/configs/tee.config ;;
x86_64)	karch=x86 cross='' image=arch/x86/boot/bzImage
	native=arch/x86/configs/confidential.config ;;
*)	die "no such ARCH: $arch (arm64 or x86_64)" ;;
esac

fragments=("$top/lab/kernel/lab.config" "$top/lab/kernel/$arch.config"
	   "$top/$native" "$top/lab/kernel/tests.config")
options=()
case $variant in
plain)	;;
debug*)
	fragments+=("$top/kernel/configs/tee-debug.config" "$top/lab/kernel/debug.config") ;;&
debug|debug-order)	;;
debug-modules|modules) fragments+=("$top/lab/kernel/modules.config") ;;
gcov)	fragments+=("$top/lab/kernel/gcov.config")
	options=(GCOV_PROFILE_confidential.o=y GCOV_PROFILE_confidential-mmio.o=y) ;;
size)	fragments+=("$top/lab/kernel/size.config")
	options=(KBUILD_BUILD_VERSION=1) ;;	# else it counts the builds
kcsan|ffa-module|order|psp) fragments+=("$top/lab/kernel/$variant.config") ;;
sync)	fragments+=("$top/lab/kernel/order.config" "$top/lab/kernel/sync.config") ;;
*)	die "no such VARIANT: $variant (plain, debug, kcsan, modules, order, sync, debug-order, debug-modules, ffa-module, psp, gcov or size)" ;;
esac
for f in "$@"; do
	[ -e "$f" ] || f=$top/$f
	[ -e "$f" ] || die "no such fragment: ${f#"$top"/} (FRAGMENTS takes paths of .config files)"
	fragments+=("$f")
done

export CCACHE_NOHASHDIR=1 CCACHE_MAXSIZE=6G
export CCACHE_DIR=${CCACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/tee-linux/ccache}
# The preprocessor lets ccache find an object again that was built with another
# configuration, and takes a third of the time. There is nothing to find yet for
# the first kernel of an architecture: it goes by the headers' contents alone.
known=$CCACHE_DIR/knows-$arch
[ -e "$known" ] || export CCACHE_DEPEND=1
export KBUILD_BUILD_USER=lab KBUILD_BUILD_HOST=tee-linux
export KBUILD_BUILD_TIMESTAMP='1970-01-01' LOCALVERSION=-lab
kmake() {
	CCACHE_BASEDIR=$src make -C "$src" O="$out" ARCH="$karch" CROSS_COMPILE="$cross" \
	     CC="ccache ${cross}gcc" HOSTCC='ccache gcc' -j"$(nproc)" "${options[@]}" "$@"
}

# Variants with a patch: of a tree of links, with the one file that it changes.
tree=$src
case $variant in
order|sync|debug-order)
	links=$src/.order
	mkdir -p "$links/init" "$links/${out##*/}"
	for f in "$src"/* "$src"/init/*; do
		f=${f#"$src/"}
		[ "$f" = init ] || [ "$f" = init/main.c ] || [ -e "$links/$f" ] ||
			ln -sfn "$src/$f" "$links/$f"
	done
	patch -s -o "$links/main.c.$$" "$src/init/main.c" "$top/lab/kernel/order.patch" > /dev/null ||
		{ rm -f "$links/main.c.$$"*; die "lab/kernel/order.patch is not for init/main.c of $name: adapt it"; }
	if cmp -s "$links/main.c.$$" "$links/init/main.c"; then
		rm "$links/main.c.$$"
	else
		mv "$links/main.c.$$" "$links/init/main.c"
	fi
	ln -sfn ".order/${out##*/}" "$out"
	out=$links/${out##*/} src=$links ;;
esac

mkdir -p "$out"
exec 9> "$out/.lab-lock"
flock -n 9 || { echo "lab/kernel.sh: another run builds $name, waiting" >&2; flock 9; }
log=$out/lab.log
: > "$log"
fail() {
	grep -E -A8 'error: |Error [0-9]|\*\*\*' "$log" | tail -25 >&2 || tail -15 "$log" >&2
	die "$1 of $name failed. The whole log: $log"
}

# Configuration: only where a fragment or a Kconfig file has changed.
key=$(cat "${fragments[@]}" "$0" | sha256sum)
kconfigs=$(find "$tree" -name 'Kconfig*' -newer "$out/.lab-key" -print -quit 2> /dev/null || true)
if [ "$key" != "$(cat "$out/.lab-key" 2> /dev/null)" ] || [ -n "$kconfigs" ]; then
	cat "${fragments[@]}" > "$out/lab.fragment"
	kmake KCONFIG_ALLCONFIG="$out/lab.fragment" allnoconfig >> "$log" 2>&1 ||
		fail 'the configuration'
	python3 "$top/lab/kernel/survived.py" "$tree" "$out/.config" "${fragments[@]}" ||
		die "the configuration of $name is not what the fragments say"
	echo "$key" > "$out/.lab-key"
fi

# Build, with a counter: make -n would take longer than most builds, so the
# total is the number of lines that the last whole build printed.
targets=("$(basename "$image")")
[ "${variant#debug-}" != modules ] || targets+=(modules)
start=$(date +%s)
total=$(cat "$out/.lab-lines" 2> /dev/null || echo 0)
(
	kmake "${targets[@]}" ${V:+V="$V"} 2>&1 && echo "@done"
) | awk -v log_="$log" -v tty="$([ -t 2 ] && echo 1)" -v total="$total" -v name="$name" -v verbose="${V:-}" '
	/^@done$/ { ok = 1; next }
	{ print >> log_ }
	verbose == 1 { print > "/dev/stderr" }
	/^  [A-Z]/ {
		n++
		if (tty && n % 10 == 0)
			printf "  %-9s %-40s %5d%s\r", "KERNEL", name, n, \
			       (total > n ? " of about " total : "") > "/dev/stderr"
	}
	END { print n + 0; exit !ok }' > "$out/.lab-count" || fail 'the build'
lines=$(cat "$out/.lab-count")
[ "$lines" -gt "$total" ] && echo "$lines" > "$out/.lab-lines"
[ "$lines" -lt 20 ] ||
	printf '  %-9s %-46s %4d s\n' KERNEL "$name: $lines steps" $(($(date +%s) - start)) >&2
[ -e "$out/$image" ] || fail 'the build'
[ ! -d "$CCACHE_DIR" ] || touch "$known"

# The lab's own modules, which are no part of the kernel.
if [ "$arch" = arm64 ] && [ "${variant#debug-}" = modules ]; then
	kmake M="$top/lab/fuzz" MO="$out/lab-fuzz" modules >> "$log" 2>&1 || fail 'the build of lab/fuzz'
fi

# The kernel's selftests that scenarios run in the guest: static, as it may lack
# the libraries.
selftest=$src/tools/testing/selftests/tee
if [ "$arch" = arm64 ] && [ -d "$selftest" ] &&
   [ ! "$out/kselftest/tee/tee_test" -nt "$selftest/tee_test.c" ]; then
	kmake headers >> "$log" 2>&1 || fail 'the installation of the headers'
	make -C "$src/tools/testing/selftests" TARGETS=tee ARCH="$karch" CROSS_COMPILE="$cross" \
	     O="$out" USERLDFLAGS=-static >> "$log" 2>&1 || fail 'the build of the selftests'
fi
echo "$out/$image"
