#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Build sparse from sid's source and print its path: Linux 7.3 does not take
# the one of Debian 12 ("sparse is not up to date").
set -eu

cache=${XDG_CACHE_HOME:-$HOME/.cache}/tee-linux
version=0.6.5~rc1-2
dir=$cache/sparse-$version

if [ ! -x "$dir/sparse" ]; then
	dsc=$("$(dirname "$0")/apt.sh" source "sparse=$version" sid)
	rm -rf "$dir.part"
	{
		dpkg-source --no-copy -x "$dsc" "$dir.part"
		make -C "$dir.part" -j"$(nproc)" CC=gcc HAVE_LLVM=no HAVE_SQLITE=no HAVE_GTK=no sparse
	} > "$cache/sparse.log" 2>&1 || {
		tail -n 15 "$cache/sparse.log" >&2
		echo "lab/sparse.sh: sparse $version did not build. The whole log: $cache/sparse.log" >&2
		exit 1
	}
	rm -rf "$dir"
	mv "$dir.part" "$dir"
fi
echo "$dir/sparse"
