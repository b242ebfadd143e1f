#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Install what is missing of the packages that the project uses, and say early
# if there is too little disk for what is to come.
#
#   lab/deps.sh [GB]     GB: disk that must be free below this folder
set -eu

cd "$(dirname "$0")/.."
need=${1:-0}
start=$(date +%s)

free=$(df -Pk . | awk 'NR == 2 { print int($4 / 1048576) }')
if [ "$free" -lt "$need" ]; then
	echo "lab/deps.sh: $free GB are free below $PWD, this needs $need GB." \
	     "Make room, or clone to another disk." >&2
	exit 1
fi

missing=$(grep -v '^#' lab/packages | while read -r package why; do
	: "$why"
	[ -n "$package" ] || continue
	dpkg-query -W -f '${Status}' "$package" 2> /dev/null |
		grep -q '^install ok installed$' || echo "$package"
done)
[ -n "$missing" ] || exit 0

sudo=
if [ "$(id -u)" != 0 ]; then
	sudo=sudo
	command -v sudo > /dev/null || {
		echo "lab/deps.sh: run as root, or with sudo, once:" \
		     "apt-get install --no-install-recommends $(echo "$missing" | paste -sd ' ' -)" >&2
		exit 1
	}
fi
mkdir -p build
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # one word a package
if ! { $sudo apt-get -qq update &&
       $sudo apt-get -qq install --no-install-recommends $missing; } > build/deps.log 2>&1; then
	tail -8 build/deps.log | sed 's/^/  /' >&2
	echo "lab/deps.sh: apt-get could not install:" \
	     "$(echo "$missing" | paste -sd ' ' -). Is this machine online?" \
	     "The whole log: build/deps.log" >&2
	exit 1
fi
printf '  %-9s %-46s %4d s\n' DEPS "$(echo "$missing" | wc -l) packages installed" \
       $(($(date +%s) - start)) >&2
