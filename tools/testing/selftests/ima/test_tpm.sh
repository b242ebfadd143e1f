#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# What IMA says of the TPM agrees with the TPMs of this machine and with the
# measurement list. See Documentation/ABI/testing/ima_tpm.

DIR=$(dirname "$0")
[ -e "$DIR/ktap_helpers.sh" ] || DIR=$DIR/../kselftest
# shellcheck source=../kselftest/ktap_helpers.sh
. "$DIR/ktap_helpers.sh"

ima=/sys/kernel/security/ima
list=$ima/ascii_runtime_measurements

ktap_print_header
[ "$(id -u)" = 0 ] || { ktap_skip_all "needs root"; exit "$KSFT_SKIP"; }
[ -d /sys/kernel/security/integrity ] || mount -t securityfs none /sys/kernel/security 2> /dev/null
[ -e $list ] || { ktap_skip_all "no $list: is CONFIG_IMA set?"; exit "$KSFT_SKIP"; }
[ -e $ima/tpm ] || { ktap_skip_all "no $ima/tpm: this kernel does not tell"; exit "$KSFT_SKIP"; }

# TPMs that have hardware: those of tpm_vtpm_proxy are in /sys/devices/virtual. One
# that waits for its firmware's upgrade does not tell its version.
hardware() {
	for tpm in /sys/class/tpm/tpm*; do
		case $(readlink -f "$tpm") in
		/sys/devices/virtual/*|*'*') ;;
		*) [ ! -e "$tpm/tpm_version_major" ] || return 0 ;;
		esac
	done
	return 1
}

# A TPM has a bank for boot_aggregate, which is of IMA's hash, SHA-256 or SHA-1
bank() {
	for hash in "$(last_aggregate | awk '{ sub(":.*", "", $4); print $4 }')" sha256 sha1; do
		ls -d /sys/class/tpm/tpm*/pcr-"$hash" > /dev/null 2>&1 && return
	done
	return 1
}

# Entries of the list by that name: PCR, template hash, template, digest, name
named() {
	awk -v name="$1" '$5 == name' $list
}

zeros() {
	! grep -q '[1-9a-f]'
}

digest() {
	awk '{ sub(".*:", "", $4); print $4 }'
}

check() {
	what=$1
	shift
	if "$@"; then ktap_test_pass "$what"; else ktap_test_fail "$what"; fi
}

anchored() {
	hardware && [ -z "$(named tpm/missed; named tpm/none)" ] || return
	if bank; then ! aggregate | zeros; else aggregate | zeros; fi
}
# What was missed was so by a kernel before this one
none() {
	! hardware && aggregate | zeros
}
missed() {
	hardware && { aggregates; named tpm/none | digest; } | grep -qx '00*' &&
		[ -n "$(named tpm/missed)" ] && named tpm/missed | digest | zeros
}

# A list that kexec has carried over has those of earlier boots, the last is ours
aggregates() {
	{ named boot_aggregate; named boot_aggregate_late; } | digest
}
last_aggregate() {
	awk '$5 == "boot_aggregate" || $5 == "boot_aggregate_late"' $list | tail -n 1
}
aggregate() {
	last_aggregate | digest
}

state=$(cat $ima/tpm)
ktap_set_plan 3
ktap_print_msg "tpm: $state, boot_aggregate: $(aggregate)"

case $state in
anchored|none|missed)
	ktap_test_pass "the state is a documented one"
	check "TPMs and list are what \"$state\" stands for" "$state" ;;
*)
	ktap_test_fail "the state is a documented one"
	ktap_test_skip "TPMs and list are what the state stands for" ;;
esac
check "user space cannot write the state" sh -c "! echo none 2> /dev/null > $ima/tpm"

ktap_finished
