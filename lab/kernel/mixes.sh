#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Configure arm64 with each mix of built-in and module of the drivers that a TPM
# behind FF-A takes. CRB over FF-A must be there in those that can work, and in no
# other. Prints the mixes that are wrong.
#
#   lab/kernel/mixes.sh SRC
set -euo pipefail

[ $# = 1 ] || { sed -n '4,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }
src=$(realpath "$1") out=$(mktemp -d) status=0
trap 'rm -rf "$out"' EXIT

# mix CRB FFA WANTED: CRB may be "ima", which has it built in.
mix() {
	local have=no
	{
		printf 'CONFIG_%s=y\n' MODULES EFI ACPI TCG_TPM TCG_ARM_CRB_FFA
		echo "CONFIG_ARM_FFA_TRANSPORT=$2"
		[ "$1" = ima ] && printf 'CONFIG_%s=y\n' SECURITY INTEGRITY IMA || echo "CONFIG_TCG_CRB=$1"
	} > "$out/fragment"
	make -C "$src" -s O="$out" ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- \
	     KCONFIG_ALLCONFIG="$out/fragment" allnoconfig > "$out/log" 2>&1 || { cat "$out/log"; exit 1; }
	if grep -q '^CONFIG_TCG_ARM_CRB_FFA=' "$out/.config"; then have=yes; fi
	[ $have = "$3" ] || {
		echo "TCG_CRB=$1 ARM_FFA_TRANSPORT=$2: there must be ${3/yes/a} TCG_ARM_CRB_FFA"
		status=1
	}
}

mix n y no
mix m n no
mix m m yes
mix m y yes
mix y n no
mix y m no
mix y y yes
mix ima m no
mix ima y yes
exit $status
