#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The firmware that the lab's arm64 machine boots: TF-A and OP-TEE in one flash
# image, for the chosen way between Linux and OP-TEE.
#
#   lab/firmware.sh smc        OP-TEE 4.5, Debian's binary, called by SMC
#   lab/firmware.sh smc-lab    OP-TEE 4.10 with our patches, called by SMC
#   lab/firmware.sh ffa        the same OP-TEE, as FF-A SPMC at S-EL1
#   lab/firmware.sh ffa-checks the same, with OP-TEE's address and undefined
#                              behaviour sanitizers: it panics where either finds
#                              anything
#
# Makes build/firmware/KIND/qemu_fw.bios and build/firmware/KIND/versions. What
# was built once is found again by a key over everything that goes into it.
set -euo pipefail
shopt -s nullglob

cd "$(dirname "$0")/.."

tfa=2.12.1+dfsg-1
optee_smc=4.5.0-2
optee_lab=4.10.0-2

kind=${1-}
case $kind in
smc|smc-lab) spmc=n ;;
ffa|ffa-checks) spmc=y ;;
*)
	sed -n '4,15s/^# \{0,1\}//p' "$0" >&2
	exit 2 ;;
esac

out=build/firmware/$kind
cache=${XDG_CACHE_HOME:-$HOME/.cache}/tee-linux/firmware
inputs=(lab/firmware.sh)
[ "$kind" = smc ] || inputs+=(lab/firmware/*.dts lab/firmware/*/*.patch)
key=$(sha256sum "${inputs[@]}" | sha256sum | cut -c1-32)-$kind

done_already() {
	[ -s "$out/qemu_fw.bios" ] && [ "$(cat "$out/key" 2> /dev/null)" = "$key" ]
}

# The key goes last: it says that the files beside it are whole.
install_from() {
	local f
	for f in versions qemu_fw.bios key; do
		cp "$1/$f" "$out/.$f.new"
	done
	for f in versions qemu_fw.bios key; do
		mv "$out/.$f.new" "$out/$f"
	done
}

if done_already; then
	exit 0
fi
mkdir -p "$out" "$cache"
exec 9> "$cache/lock"
flock 9
if done_already; then
	exit 0
fi
if [ -e "$cache/$key/key" ]; then
	install_from "$cache/$key"
	exit 0
fi

log=$out/build.log
: > "$log"

# TF-A's and OP-TEE's makefiles take these for their own.
unset ARCH PLATFORM PLAT DEBUG LOG_LEVEL CROSS_COMPILE

die() {
	printf 'lab/firmware.sh: %s: %s\n' "$kind" "$1" >&2
	[ $# -lt 2 ] || printf '  %s\n' "${@:2}" >&2
	exit 1
}

missing=
need() {
	command -v "$1" > /dev/null || missing="$missing $2"
}
need make make
need gcc gcc
need aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu
need dtc device-tree-compiler
need dpkg-source dpkg-dev
need patch patch
[ -e /usr/include/openssl/sha.h ] || missing="$missing libssl-dev"
if [ "$kind" != smc ]; then
	/usr/bin/python3 -c 'import elftools' 2> /dev/null ||
		missing="$missing python3-pyelftools"
	/usr/bin/python3 -c 'import cryptography' 2> /dev/null ||
		missing="$missing python3-cryptography"
fi
[ -z "$missing" ] ||
	die "these packages are missing:$missing" \
	    "Install them: apt-get install$missing"
free=$(($(df -Pk "$cache" | awk 'NR == 2 { print $4 }') / 1024))
[ "$free" -ge 600 ] ||
	die "$free MB are free for $cache, the build takes 600 MB." \
	    "Make room, or name another place with XDG_CACHE_HOME."

work=$(mktemp -d "$cache/.work.XXXXXX")
trap 'rm -rf "$work"' EXIT

step_start=$SECONDS
step() {
	printf '  %-9s %-46s %4d s\n' FIRMWARE "$kind: $1" \
		$((SECONDS - step_start)) >&2
	step_start=$SECONDS
}

# Into the log; with V=1 onto the terminal as well.
into_log() {
	if [ "${V:-}" = 1 ]; then tee -a "$log" >&2; else cat >> "$log"; fi
}

# run WHAT HINT COMMAND...: into the log; a failure shows the end of it.
run() {
	local what=$1 hint=$2
	shift 2
	echo "+ $*" >> "$log"
	if ! "$@" 2>&1 < /dev/null | into_log; then
		tail -n 15 "$log" | sed 's/^/  | /' >&2
		die "$what failed; the whole log is $PWD/$log" "$hint"
	fi
}

again="Nothing half-made was kept; run lab/firmware.sh $kind again when it is put right."
arm64=aarch64-linux-gnu-
ccache=
if command -v ccache > /dev/null; then
	export CCACHE_NOHASHDIR=1 CCACHE_BASEDIR=$work CCACHE_DEPEND=1
	export CCACHE_DIR=${CCACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/tee-linux/ccache}
	ccache="ccache "
fi
jobs=$(nproc)

# apply NAME VERSION: our patches for NAME onto its source in $work.
apply() {
	local p
	for p in "lab/firmware/$1"/*.patch; do
		run "$p on $1 $2" "It was written for another version: adapt it." \
			patch -d "$work/$1" -p1 --fuzz=0 -i "$PWD/$p"
	done
}

ours() {
	printf '+ %s' "lab/firmware/$1"/*.patch
}

tfa_dsc=$(lab/apt.sh source "arm-trusted-firmware=$tfa" trixie)
if [ "$kind" = smc ]; then
	deb=$(lab/apt.sh deb "optee-os:arm64=$optee_smc" trixie)
else
	optee_dsc=$(lab/apt.sh source "optee-os=$optee_lab" sid)
fi
step "sources fetched"

if [ "$kind" = smc ]; then
	run "unpacking OP-TEE OS $optee_smc" "$again" dpkg-deb -x "$deb" "$work/optee-os"
	bl32=$work/optee-os/usr/lib/optee/vexpress-qemu_armv8a
	optee="$optee_smc (Debian's binary)"
else
	run "unpacking OP-TEE OS $optee_lab" "$again" \
		dpkg-source --no-check -x "$optee_dsc" "$work/optee-os"
	apply optee-os "$optee_lab"
	# The compiler has to be told where the sanitizers' shadow will be: OP-TEE's
	# linker script gives it the last ninth of the memory, here 8 MiB, as the code
	# is four times as large. With ASLR it would be elsewhere.
	checks=()
	if [ "$kind" = ffa-checks ]; then
		memory=0x0e100000 size=0x00800000
		shadow=$(((memory + size * 8 / 9 - 1) / 8 * 8))
		checks=(CFG_CORE_SANITIZE_UNDEFINED=y CFG_CORE_SANITIZE_KADDRESS=y CFG_CORE_ASLR=n
			"CFG_TEE_RAM_VA_SIZE=$size"
			"CFG_ASAN_SHADOW_OFFSET=$(printf %#x $((shadow - memory / 8)))"
			TEE_IMPL_GIT_SHA1=0x0ULL)	# an int is shifted by 32 otherwise
	fi
	# Debian's python sees Debian's modules; one from elsewhere on PATH may not.
	# Log level 2 (info) prints the version on the secure console. The test
	# watchdog of the embedded tests notifies for ever, also after the normal
	# world has asked it to stop, and panics when it meets the next kernel: no
	# OP-TEE that is shipped has it. From CFG_LAB on it is for our patches: the
	# drivers in Linux that are clients of OP-TEE find what they look for. The
	# clock's alarm takes one thread all the time, so there are three.
	run "building OP-TEE OS $optee_lab" "$again" \
		make -C "$work/optee-os" -j"$jobs" O=out \
		PYTHON3=/usr/bin/python3 CROSS_COMPILE64="$ccache$arm64" \
		PLATFORM=vexpress-qemu_armv8a CFG_ARM64_core=y \
		CFG_USER_TA_TARGETS=ta_arm64 CFG_ARM_GICV3=y \
		CFG_CORE_SEL1_SPMC=$spmc CFG_TEE_CORE_LOG_LEVEL=2 \
		CFG_WITH_STATS=y CFG_ENABLE_EMBEDDED_TESTS=y CFG_NOTIF_TEST_WD=n \
		CFG_LAB=y CFG_NUM_THREADS=3 \
		CFG_HWRNG_PTA=y CFG_HWRNG_QUALITY=1024 CFG_DRIVERS_RTC=y CFG_RTC_PTA=y \
		CFG_SCMI_PTA=y CFG_SCMI_MSG_DRIVERS=y CFG_SCMI_MSG_SHM_MSG=y \
		CFG_IN_TREE_EARLY_TAS="pkcs11/fd02c9da-306c-48c7-a49c-bbd827ae86ee trusted_keys/f04a0fe7-1f5d-4b9b-abf7-619b85b4ce8c" \
		TEE_IMPL_VERSION="$optee_lab-tee-linux" "${checks[@]}" all
	bl32=$work/optee-os/out/core
	optee="$optee_lab (Debian's source) $(ours optee-os)"
	[ -z "${checks[*]}" ] || optee+=", with sanitizers"
	step "OP-TEE ${optee_lab%-*} built"
fi

run "unpacking TF-A $tfa" "$again" dpkg-source --no-check -x "$tfa_dsc" "$work/tf-a"
tfa_args=(PLAT=qemu QEMU_USE_GIC_DRIVER=QEMU_GICV3 BL32_RAM_LOCATION=tdram
	  ARM_LINUX_KERNEL_AS_BL33=1 PRELOADED_BL33_BASE=0x60000000
	  "BUILD_STRING=$tfa" "BUILD_MESSAGE_TIMESTAMP=\"tee-linux\""
	  "BL32=$bl32/tee-header_v2.bin"
	  "BL32_EXTRA1=$bl32/tee-pager_v2.bin"
	  "BL32_EXTRA2=$bl32/tee-pageable_v2.bin")
if [ "$spmc" = n ]; then
	tfa_args+=(SPD=opteed)
	tfa_made="$tfa (Debian's source)"
else
	tfa_made="$tfa (Debian's source) $(ours tf-a)"
	apply tf-a "$tfa"
	tfa_args+=(SPD=spmd SPMD_SPM_AT_SEL2=0 SPMC_OPTEE=1
		   "QEMU_TOS_FW_CONFIG_DTS=$PWD/lab/firmware/spmc-manifest.dts")
fi
run "building TF-A $tfa" "$again" \
	make -C "$work/tf-a" -j"$jobs" CROSS_COMPILE="$arm64" \
	"${tfa_args[@]}" all fip qemu_fw.bios
step "TF-A ${tfa%+*} built"

new=$work/new
mkdir "$new"
cp "$work/tf-a/build/qemu/release/qemu_fw.bios" "$new/"
cat > "$new/versions" << EOF
kind    $kind
tf-a    $tfa_made
op-tee  $optee
EOF
echo "$key" > "$new/key"
rm -rf "${cache:?}/$key"
mv "$new" "$cache/$key"
install_from "$cache/$key"
