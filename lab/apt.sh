#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A private view of Debian's archive: trixie, trixie-backports and sid beside
# the machine's own suite, without touching /etc/apt. apt checks the archive's
# signatures as always; what was fetched is kept in the cache.
#
#   lab/apt.sh conf              print the path of an apt.conf (for APT_CONFIG)
#   lab/apt.sh update            read the package lists (once in 6 hours)
#   lab/apt.sh deb PKG[:ARCH]=VERSION SUITE
#                                fetch a binary package, print its path
#   lab/apt.sh source PKG=VERSION SUITE
#                                fetch a source package, print its .dsc's path
#   lab/apt.sh versions PKG...   list what is to be had, as apt-cache madison;
#                                PKG may be PREFIX*
set -eu

cache=${XDG_CACHE_HOME:-$HOME/.cache}/tee-linux
dir=$cache/apt
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
suites="trixie trixie-backports sid"

die() {
	echo "lab/apt.sh: $*" >&2
	exit 1
}

conf() {
	mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial" "$dir/files"
	for suite in $suites; do
		echo "deb [signed-by=$keyring] $mirror $suite main"
		echo "deb-src [signed-by=$keyring] $mirror $suite main"
	done > "$dir/sources.list.$$"
	cat > "$dir/apt.conf.$$" <<-EOF
	Dir::Etc::sourcelist "$dir/sources.list";
	Dir::Etc::sourceparts "/dev/null";
	Dir::State::Lists "$dir/lists";
	Dir::Cache "$dir/cache";
	Acquire::Languages "none";
	Acquire::Retries "2";
	APT::Architecture "amd64";
	APT::Architectures { "amd64"; "arm64"; };
	APT::Sandbox::User "root";
	EOF
	mv "$dir/sources.list.$$" "$dir/sources.list"
	mv "$dir/apt.conf.$$" "$dir/apt.conf"
}

update() {
	conf
	stamp=$dir/lists/stamp
	if [ -e "$stamp" ] && cmp -s "$stamp" "$dir/sources.list" &&
	   [ -n "$(find "$stamp" -mmin -360)" ]; then
		return
	fi
	if ! APT_CONFIG=$dir/apt.conf apt-get -qq update \
	     -o APT::Update::Error-Mode=any > "$dir/update.log" 2>&1; then
		sed 's/^/  /' "$dir/update.log" >&2
		! grep -q 'is expired' "$dir/update.log" ||
			die "$mirror is out of date, or this machine's clock is wrong ($(date -I))." \
			    "DEBIAN_MIRROR=URL names another mirror. For a mirror that is frozen on" \
			    "purpose, Acquire::Check-Valid-Until \"false\"; in /etc/apt/apt.conf.d/."
		die "cannot read the package lists from $mirror." \
		    "Is this machine online? DEBIAN_MIRROR=URL names another mirror."
	fi
	cp "$dir/sources.list" "$stamp"
}

# get LABEL SUBDIR COMMAND...: run apt-get in a folder of its own, and let the
# result appear under its final name only when it is whole.
get() {
	label=$1 sub=$2
	shift 2
	exec 9> "$dir/lock"
	flock 9
	if [ ! -d "$dir/files/$sub" ]; then
		update
		rm -rf "$dir/files/$sub.part"
		mkdir -p "$dir/files/$sub.part"
		if ! (cd "$dir/files/$sub.part" &&
		      APT_CONFIG=$dir/apt.conf apt-get -qq "$@") \
		     > "$dir/get.log" 2>&1; then
			sed 's/^/  /' "$dir/get.log" >&2
			rm -rf "$dir/files/$sub.part"
			die "cannot fetch $label from $mirror." \
			    "To be had: $(versions_of "${label%%=*}")"
		fi
		mv "$dir/files/$sub.part" "$dir/files/$sub"
	fi
}

versions_of() {
	APT_CONFIG=$dir/apt.conf apt-cache madison "$@" 2> /dev/null |
		awk -F '|' '{ gsub(/ /, "", $2); print $2 }' |
		sort -uV | paste -sd ' ' - | grep . || echo "no version of it"
}

[ $# -ge 1 ] || { sed -n '4,18s/^#//p' "$0" >&2; exit 2; }
case $1 in
conf)
	conf
	echo "$dir/apt.conf" ;;
update)
	mkdir -p "$dir"
	exec 9> "$dir/lock"
	flock 9
	update ;;
deb)
	mkdir -p "$dir"
	name=$(echo "$2" | tr ':/' '__')
	get "$2" "$name" download -t "$3" "$2" >&2
	ls "$dir/files/$name"/*.deb ;;
source)
	mkdir -p "$dir"
	name=src_$(echo "$2" | tr ':/' '__')
	get "$2" "$name" source --download-only -t "$3" "$2" >&2
	ls "$dir/files/$name"/*.dsc ;;
versions)
	mkdir -p "$dir"
	update
	shift
	for name; do	# madison takes no patterns: PREFIX* is spelt out for it
		case $name in
		*\*) APT_CONFIG=$dir/apt.conf apt-cache pkgnames "${name%\*}" ;;
		*) echo "$name" ;;
		esac
	done | APT_CONFIG=$dir/apt.conf xargs -r apt-cache madison ;;
*)
	die "unknown command '$1'" ;;
esac
