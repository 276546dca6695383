#!/usr/bin/env bash
# Prints the sizes of the boards' agents that `make arm` built, and fails if one
# is larger than it may be, in millions of bytes. One that has grown by millions
# looks methods up by their names somewhere: see tools/slim.sh, and find the place
# with -ldflags=-dumpdep, which says ReflectMethod there.
set -euo pipefail
cd "$(dirname "$0")/.."
rc=0
for program in "agent 17.5" "agent-lite 12.0"; do
	read -r name most <<<"$program"
	for board in armv6 armv7 arm64; do
		file=bin/linux-$board/$name
		[ -f "$file" ] || { echo "check-size: $file is not there: run make arm" >&2; exit 1; }
		awk -v b="$(stat -c %s "$file")" -v most="$most" -v file="$file" 'BEGIN {
			printf "check-size: %-24s %6.2f MB of %.1f%s\n", file, b / 1e6, most, (b > most * 1e6 ? ": TOO LARGE" : "")
			exit b > most * 1e6
		}' || rc=1
	done
done
exit $rc
