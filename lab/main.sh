#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What the Makefile's targets do, step by step. Called by it, with its
# variables in the environment.
set -euo pipefail

cd "$(dirname "$0")/.."
target=$1
start=$(date +%s)
# Variables given to our make are not for the makes that are called here.
unset MAKEFLAGS MFLAGS MAKEOVERRIDES MAKELEVEL

die() {
	echo "make $target: $*" >&2
	exit "${status:-1}"
}
usage() {
	status=2 die "$@"
}

case ${ARCH:-} in ''|arm64|x86_64) ;; *) usage "no such ARCH: $ARCH (arm64 or x86_64)" ;; esac
case ${ABI:-} in ''|ffa|smc) ;; *) usage "no such ABI: $ABI (ffa or smc)" ;; esac
[ "${ARCH:-}" != x86_64 ] || [ -z "${ABI:-}" ] ||
	usage "ABI=$ABI is for ARCH=arm64; x86_64 has no secure world here"

# Nothing goes on in the background when this ends.
leave() {
	[ -z "${ahead:-}" ] || { kill -- "-$ahead" && wait "$ahead"; } 2> /dev/null || :
	rm -f "$ahead_log"
}
ahead_log=build/ahead.$$.log
trap leave EXIT
# bash alone forgets a Ctrl-C if the program that it waits for ends well all the same.
trap 'exit 130' INT

# At the end, whatever it is: how long it took, also kept with the results.
took() {
	local status=$? s=$(($(date +%s) - start))
	leave
	mkdir -p build/results
	echo "$s" > "build/results/$target.seconds"
	printf '  %-9s %-46s %4d s\n' TOOK "make $target" $s >&2
	exit $status
}

# series COMMAND...: in linux/, or in the clone that LINUX names.
series() {
	series/tree.py "$1" ${LINUX:+--linux "$LINUX"} "${@:2}"
}

# tree [TOPICS]: assemble, and set src to the tree that is to be built.
tree() {
	series assemble --topics "${1-$TOPICS}"
	src=$(series status | sed -n 's/^src=//p')
}

base_tree() {
	series worktree base base build/base
	base=$PWD/build/base
}

# go_ahead ARGS...: begin with what needs no kernel tree, the firmware and the root
# file systems of the tests that these arguments select, in the background: fetching
# and assembling leave CPUs idle. In a group of its own, since nothing that bash
# starts in the background hears of Ctrl-C. What it says is shown by catch_up.
go_ahead() {
	[ -z "${ahead:-}" ] || return 0
	mkdir -p build
	# shellcheck disable=SC2016 # it is the inner shell that expands
	setsid bash -c 'while read -r kind name _; do
			[ "$kind" = kernel ] || "lab/$kind.sh" "$name" || exit
		done' < <(lab/run.py --src . --needs "$@") > "$ahead_log" 2>&1 &
	ahead=$!
}

catch_up() {
	local status=0
	[ -n "${ahead:-}" ] || return 0
	[ ! -d "/proc/$ahead" ] || echo "  WAITING   for firmware and root file systems ($ahead_log)" >&2
	wait "$ahead" || status=$?
	ahead=
	cat "$ahead_log" >&2
	rm "$ahead_log"
	return $status
}

# needs SRC ARGS...: build what the tests that these arguments select need.
needs() {
	local from=$1 kind a b fragments=()
	shift
	read -ra fragments <<< "${FRAGMENTS:-}"
	go_ahead "$@"
	while read -r kind a b; do
		[ "$kind" = kernel ] || continue
		# If that has failed, it is better known now than after a kernel.
		[ -d "/proc/$ahead" ] || catch_up || return 1
		lab/kernel.sh "$from" "$a" "$b" "${fragments[@]}" > /dev/null || return 1
	done < <(lab/run.py --src "$from" --needs "$@")
	catch_up
}

# Build build/bisect with the series' options on or off, and boot every kernel:
# with a topic's first commits, where it does not take the topic.
bisect_step() {
	local with=${FRAGMENTS:-}
	[ "$1" = on ] || with="$with lab/kernel/off.config"
	FRAGMENTS=$with needs build/bisect "${selection[@]}" --only 'boot-*' --topics none || return 1
	lab/run.py --tree bisect --src build/bisect "${selection[@]}" --only 'boot-*' --topics none
}

# What the topic confidential-devices makes of vmlinux: the base, its commits alone
# with the option off, and on. One after the other in one place, so that no path
# makes a difference. Those two once more, with what counts instructions.
costs() {
	local arch of option commit failed=0
	# What a run that was interrupted has left there.
	[ ! -e build/measure/.git ] || git -C build/measure checkout -q init/main.c || return 1
	for of in base off on; do
		option=() commit=base
		[ $of = base ] || commit=$(git -C "$src" rev-parse topic/confidential-devices) || return 1
		[ $of = on ] || option=(lab/kernel/off.config)
		series worktree measure "$commit" build/measure || return 1
		for arch in ${ARCH:-arm64 x86_64}; do
			mkdir -p "build/results/size/$arch"
			lab/kernel.sh build/measure "$arch" size "${option[@]}" > /dev/null || return 1
			for file in vmlinux .config; do
				cp "build/measure/.build-$arch-size/$file" "build/results/size/$arch/$of${file#vmlinux}" ||
					return 1
			done
		done
		[ $of != base ] || continue
		git -C build/measure apply "$PWD/lab/kernel/count.patch" ||
			die "lab/kernel/count.patch is not for init/main.c of the topic: adapt it"
		for arch in ${ARCH:-arm64 x86_64}; do
			cp "$(lab/kernel.sh build/measure "$arch" size "${option[@]}")" \
			   "build/results/size/$arch/$of.image" || failed=1
		done
		git -C build/measure checkout -q init/main.c
		[ $failed = 0 ] || return 1
	done
	# shellcheck disable=SC2086 # one word an architecture
	{
		lab/size.py build/results build/measure ${ARCH:-arm64 x86_64} || failed=1
		lab/count.py build/results ${ARCH:-arm64 x86_64} || failed=1
	}
	return $failed
}

# The arguments of lab/run.py that the user's variables stand for.
selection=(--topics "$TOPICS" --abis "${ABI:-${ABIS// /,}}")
[ -z "${ARCH:-}" ] || selection+=(--arch "$ARCH")
[ -z "${ONLY:-}" ] || selection+=(--only "$ONLY")
variant=plain
[ -z "${DEBUG:-}" ] || variant=debug
selection+=(--variant "$variant")

one_abi() {
	if [ "${ARCH:-arm64}" = x86_64 ]; then
		abi=x86_64
	else
		abi=${ABI:-$(echo "$ABIS" | grep -ow -e ffa -e smc | tail -n 1)}
	fi
	[ -n "$abi" ] || die "the configuration builds no arm64 ABI: ARCH=x86_64, or make menuconfig"
}

# A pattern that no test has is said before anything is built.
if [ "$target" = without ]; then
	lab/without.py --list ${ONLY:+"$ONLY"} > /dev/null || exit 2
elif [ -n "${ONLY:-}" ]; then
	lab/run.py --src . --suite check,soak,measure "${selection[@]}" --list > /dev/null || exit 2
fi

case $target in boot|kernel|check|soak|measure|compare|topics|bisect|without) trap took EXIT ;; esac

case $target in
boot)
	one_abi
	lab/deps.sh 12
	test=boot-$abi-2cpu
	go_ahead --only "$test"
	tree
	needs "$src" --only "$test"
	lab/run.py --src "$src" --only "$test" > build/boot.ktap || true
	series status |
		lab/report.py "build/results/fork/$test.json" ||
		{ grep '^#' build/boot.ktap >&2; die "the scenario failed, see above"; }
	;;
shell)
	one_abi
	lab/deps.sh 12
	tree
	needs "$src" --only "boot-$abi-2cpu"
	exec lab/run.py --src "$src" --only "boot-$abi-2cpu" --shell
	;;
tree)
	lab/deps.sh 6
	tree
	series status
	;;
kernel)
	lab/deps.sh 6
	tree
	read -ra fragments <<< "${FRAGMENTS:-}"
	lab/kernel.sh "$src" "${ARCH:-arm64}" "$variant" "${fragments[@]}"
	;;
list)
	exec lab/run.py --src . --suite check,soak,measure "${selection[@]}" --list
	;;
check)
	lab/deps.sh 8
	if [ -n "${ONLY:-}" ]; then
		tree
		needs "$src" "${selection[@]}" --suite check,soak,measure
		lab/run.py --src "$src" "${selection[@]}" --suite check,soak,measure
	else
		go_ahead "${selection[@]}"
		tree
		needs "$src" "${selection[@]}"
		lab/check.sh "$src" "${selection[@]}"
	fi
	;;
soak)
	lab/deps.sh 12
	tree
	base_tree
	needs "$src" "${selection[@]}" --suite soak
	needs "$base" "${selection[@]}" --suite soak --compared
	lab/run.py --src "$src" --beside "base=$base" "${selection[@]}" --suite soak
	[ -z "$(lab/run.py --src "$src" "${selection[@]}" --suite soak --compared --needs)" ] ||
		lab/table.py build/results
	[ -n "${ONLY:-}" ] || lab/picture.py build/results
	;;
compare)
	lab/deps.sh 12
	tree
	base_tree
	needs "$src" "${selection[@]}" --compared
	needs "$base" "${selection[@]}" --compared
	# The results of the long suites stay: they took hours.
	for name in base fork; do
		[ -n "${ONLY:-}" ] || lab/run.py --tree "$name" --src "$src" --topics "$TOPICS" \
			--suite soak,measure,without --forget
	done
	lab/run.py --src "$src" --beside "base=$base" "${selection[@]}" --compared
	lab/table.py build/results
	;;
measure)
	[[ ,$TOPICS, = *,confidential-devices,* ]] ||
		die "it is confidential-devices that is measured, and TOPICS has it not"
	lab/deps.sh 6
	tree
	failed=0
	[ -n "${ONLY:-}" ] || costs || failed=1
	needs "$src" "${selection[@]}" --suite measure
	lab/run.py --src "$src" "${selection[@]}" --suite measure --figures || failed=1
	[ $failed = 0 ] || die "a figure is not what it must be, see above"
	;;
topics)
	lab/deps.sh 12
	failed=
	for topic in ${TOPICS//,/ }; do
		tree "$topic"
		needs "$src" "${selection[@]}" --topics "$topic"
		lab/run.py --tree "$topic" --src "$src" "${selection[@]}" --topics "$topic" || failed="$failed $topic"
	done
	tree
	[ -z "$failed" ] || die "tests failed on the tree of one topic:$failed (results in build/results/TOPIC)"
	;;
bisect)
	lab/deps.sh 12
	tree
	# What has passed is not run again, so that hours of it may be interrupted.
	passed=build/results/bisect/passed
	mkdir -p "${passed%/*}"
	touch "$passed"
	lab=$(cat lab/kernel.sh lab/kernel/*.config lab/scenarios/boot.py lab/run.py lab/guest.py | sha256sum | cut -c1-16)
	number=0 failed=0
	echo "KTAP version 1"
	for topic in ${TOPICS//,/ }; do
		# All commits with one configuration, then with the other: a switch
		# of the configuration rebuilds more than a commit does.
		for option in on off; do
			for commit in $(git -C "$src" rev-list --reverse "base..topic/$topic"); do
				number=$((number + 1))
				name="$(git -C "$src" log -1 --format=%s "$commit"), options $option"
				key="$commit $option $lab ${selection[*]} ${FRAGMENTS:-}"
				if grep -qxF "$key" "$passed"; then
					echo "ok $number $name # passed before"
					continue
				fi
				series worktree bisect "$commit" build/bisect
				if bisect_step "$option" > build/bisect.log 2>&1; then
					echo "$key" >> "$passed"
					echo "ok $number $name"
				else
					failed=$((failed + 1))
					tail -n 30 build/bisect.log | sed 's/^/# /'
					echo "not ok $number $name"
				fi
			done
		done
	done
	echo "1..$number"
	[ $failed = 0 ] || die "$failed of $number failed: these commits do not build and boot on their own"
	;;
without)
	lab/deps.sh 14
	tree
	# What an earlier run left in it, if that was killed, is nobody's work.
	[ ! -e build/without/.git ] || git -C build/without reset -q --hard
	series worktree without "$(git -C "$src" rev-parse HEAD)" build/without
	lab/without.py "$src" "$PWD/build/without" ${ONLY:+"$ONLY"}
	;;
defconfig|menuconfig)
	lab/deps.sh
	[ -e linux/Makefile ] || tree
	src=$(series status | sed -n 's/^src=//p')
	[ "$target" = menuconfig ] || { rm -f .config; target=alldefconfig; }
	mkdir -p build/kconfig
	env -u ARCH make -C "$src" -s O="$PWD/build/kconfig" KBUILD_KCONFIG="$PWD/Kconfig" \
	     KCONFIG_CONFIG="$PWD/.config" "$target"
	;;
clean)
	rm -rf build/results build/kconfig build/firmware build/rootfs build/ahead.*.log ./*.part
	for dir in {linux,build/*}/.build-* {linux,build/*}/.order; do
		[ ! -d "$dir" ] || rm -rf "$dir"
	done
	;;
distclean)
	if [ -d linux/.git ] && [ -n "$(git -C linux status --porcelain --untracked-files=no)" ]; then
		die "linux/ holds uncommitted work: commit it and make export, or remove linux/ yourself"
	fi
	rm -rf linux build .config .config.old
	;;
*)
	usage "no such target: $target (see lab/main.sh)" ;;
esac
