#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The file system that the lab's guests boot from, as an initramfs.
#
#   lab/rootfs.sh smc      arm64, xtest and tee-supplicant 4.5
#   lab/rootfs.sh ffa      arm64, xtest 4.10: it must match the lab's OP-TEE
#   lab/rootfs.sh x86_64   without OP-TEE's parts
#   lab/rootfs.sh tpm      arm64, what reads a TPM and IMA's list: to be appended
#                          to one of the others
#
# Makes build/rootfs/NAME.cpio: Debian's packages, unpacked and stripped of
# what a test never reads, under the /init of lab/rootfs/. Nothing of the
# guest's architecture is executed and no privilege is needed. Not compressed,
# since unpacking under TCG costs more than loading.
set -euo pipefail
shopt -s nullglob

cd "$(dirname "$0")/.."

common=(busybox-static kexec-tools makedumpfile)
name=${1-}
loaded=()
case $name in
smc)
	arch=arm64
	packages=("${common[@]}" optee-test-qemu tee-supplicant) ;;
ffa)
	# xtest reads OP-TEE's statistics, whose layout changed since 4.5.
	arch=arm64
	packages=("${common[@]}" optee-test-qemu=4.10.0-1 tee-supplicant/sid
		  libteec2/sid libckteec0t64/sid) ;;
x86_64)
	arch=amd64
	packages=("${common[@]}") ;;
tpm)
	arch=arm64
	packages=(tpm2-tools ima-evm-utils)
	# Its TPM library loads by name what speaks to /dev/tpm0.
	loaded=(libtss2-tcti-device.so.0) ;;
*)
	sed -n '4,15s/^# \{0,1\}//p' "$0" >&2
	exit 2 ;;
esac

# Packages that the chosen ones depend on for their maintainer scripts, which
# never run here: apt takes these for installed.
unwanted="perl perl-base debconf dpkg"

out=build/rootfs
cache=${XDG_CACHE_HOME:-$HOME/.cache}/tee-linux/rootfs
key=$(sha256sum lab/rootfs.sh lab/rootfs/* | sha256sum | cut -c1-32)-$name

done_already() {
	[ -s "$out/$name.cpio" ] && [ "$(cat "$out/$name.key" 2> /dev/null)" = "$key" ]
}

# The key goes last: it says that the files beside it are whole.
install_from() {
	local f
	touch "$1"
	for f in cpio packages key; do
		cp "$1/$f" "$out/.$name.$f.new"
	done
	for f in cpio packages key; do
		mv "$out/.$name.$f.new" "$out/$name.$f"
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

log=$out/$name.log
: > "$log"

die() {
	printf 'lab/rootfs.sh: %s: %s\n' "$name" "$1" >&2
	[ $# -lt 2 ] || printf '  %s\n' "${@:2}" >&2
	exit 1
}

missing=
command -v cpio > /dev/null || missing="$missing cpio"
command -v dpkg-deb > /dev/null || missing="$missing dpkg"
command -v aarch64-linux-gnu-gcc > /dev/null || missing="$missing gcc-aarch64-linux-gnu"
[ -z "$missing" ] ||
	die "these packages are missing:$missing" "Install them: apt-get install$missing"
free=$(($(df -Pk "$cache" | awk 'NR == 2 { print $4 }') / 1024))
[ "$free" -ge 300 ] ||
	die "$free MB are free for $cache, the build takes 300 MB." \
	    "Make room, or name another place with XDG_CACHE_HOME."

work=$(mktemp -d "$cache/.work.XXXXXX")
trap 'rm -rf "$work"' EXIT

run() {
	local what=$1 hint=$2
	shift 2
	echo "+ $*" >> "$log"
	if ! "$@" >> "$log" 2>&1 < /dev/null; then
		tail -n 15 "$log" | sed 's/^/  | /' >&2
		die "$what failed; the whole log is $PWD/$log" "$hint"
	fi
}

again="Nothing half-made was kept; run lab/rootfs.sh $name again when it is put right."
start=$SECONDS
lab/apt.sh update
APT_CONFIG=$(lab/apt.sh conf)
export APT_CONFIG
mkdir -p "$work/debs/partial" "$work/root"
for p in $unwanted; do
	printf 'Package: %s\nStatus: install ok installed\nVersion: 99\nArchitecture: %s\nMulti-Arch: allowed\nMaintainer: none\nDescription: not in the guest\n\n' \
		"$p" "$arch"
done > "$work/status"
run "fetching Debian's packages" "Is this machine online? Then the versions above may be gone from the archive: lab/apt.sh versions PACKAGE" \
	apt-get -y --no-install-recommends --download-only -t trixie \
	-o "APT::Architecture=$arch" -o "APT::Architectures::=$arch" \
	-o "Dir::State::status=$work/status" \
	-o "Dir::Cache::archives=$work/debs" \
	install "${packages[@]}"


count=0
for deb in "$work"/debs/*.deb; do
	run "unpacking ${deb##*/}" "$again" dpkg-deb -x "$deb" "$work/raw"
	# shellcheck disable=SC2016
	dpkg-deb --showformat '${Package} ${Version}\n' -W "$deb" >> "$work/packages"
	count=$((count + 1))
done

# Debian's base-files would make the links from / into /usr.
root=$work/root
mkdir -p "$root"/{dev,proc,sys,tmp,run,var,etc,root,lab,usr/sbin}
cp -a "$work/raw/usr" "$root/"
for d in bin sbin lib lib64; do
	[ ! -d "$root/usr/$d" ] || ln -s "usr/$d" "$root/$d"
done
ln -s busybox "$root/usr/bin/sh"
rm -rf "${root:?}/usr/share" "$root/usr/include"

[ "$name" != tpm ] || find "$root"/usr/bin "$root"/usr/sbin ! -type d ! -name evmctl \
	! -name tpm2 ! -name tpm2_pcrread ! -name tpm2_pcrextend -delete

# Of the libraries, those that a program in the guest names, and what they name.
libdir=$(dirname "$root"/usr/lib/*/libc.so.6)
mkdir "$work/lib"
queue=("$root"/usr/bin/* "$root"/usr/sbin/*)
for lib in "${loaded[@]}"; do
	cp -L "$libdir/$lib" "$work/lib/"
	queue+=("$work/lib/$lib")
done
while [ ${#queue[@]} -gt 0 ]; do
	found=()
	for lib in $(readelf -d "${queue[@]}" 2> /dev/null |
		     sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | sort -u); do
		if [ ! -e "$libdir/$lib" ] || [ -e "$work/lib/$lib" ]; then
			continue
		fi
		cp -L "$libdir/$lib" "$work/lib/"
		found+=("$work/lib/$lib")
	done
	queue=("${found[@]}")
done
find "$root/usr/lib" -mindepth 1 -maxdepth 1 \
	! -name optee_armtz ! -name tee-supplicant ! -name 'ld-linux*' -exec rm -rf {} +
mv "$work/lib" "$libdir"

ours=(lab/rootfs/*)
[ "$name" != tpm ] || ours=()
for f in "${ours[@]}"; do
	case ${f##*/} in
	init) install -m 755 "$f" "$root/init" ;;
	*.c)
		# For the guest, and without its libraries: static.
		[ $arch != arm64 ] || run "compiling $f" "$again" \
			aarch64-linux-gnu-gcc -static -O2 -Wall -Wextra -Werror -s \
			-o "$root/lab/$(basename "$f" .c)" "$f" ;;
	*) install -m 755 "$f" "$root/lab/${f##*/}" ;;
	esac
done
echo 'root:x:0:0:root:/root:/bin/sh' > "$root/etc/passwd"
echo 'root:x:0:' > "$root/etc/group"

new=$work/new
mkdir "$new"
find "$root" -exec touch -h -d @0 {} +
pack() {
	(cd "$root" && find . | LC_ALL=C sort |
		cpio --quiet -o -H newc -R 0:0 --reproducible > "$1")
}
run "packing $name.cpio" "$again" pack "$new/cpio"
mv "$work/packages" "$new/packages"
echo "$key" > "$new/key"
rm -rf "${cache:?}/$key"
mv "$new" "$cache/$key"
# Nobody has asked for those for a month.
find "$cache" -mindepth 1 -maxdepth 1 -type d -mtime +30 -exec rm -rf {} +
install_from "$cache/$key"
printf '  %-9s %-46s %4d s\n' ROOTFS "$name: $count packages" $((SECONDS - start)) >&2
