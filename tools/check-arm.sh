#!/usr/bin/env bash
# Replays a committed trace with the agent of every architecture under
# qemu-user and compares gate and alert events byte by byte with this machine's.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! command -v qemu-arm >/dev/null || ! command -v qemu-aarch64 >/dev/null; then
	echo 'check-arm: skipped, qemu-user is not installed'
	exit 0
fi
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
events() { grep -E '"type":"(gate|alert)"' || true; }
traces=("$@")
[ $# -gt 0 ] || traces=(configs/traces/*.csv)
for trace in "${traces[@]}"; do
	bin/agent replay --trace "$trace" --events - | events >"$out/here"
	[ -s "$out/here" ] || { echo "check-arm: $trace gives no events"; exit 1; }
	for run in "qemu-arm bin/linux-armv6" "qemu-arm bin/linux-armv7" "qemu-aarch64 bin/linux-arm64"; do
		set -- $run
		timeout 600 "$1" "$2/agent" replay --trace "$trace" --events - | events >"$out/there"
		cmp "$out/here" "$out/there" || { echo "check-arm: $2 judges $trace otherwise"; exit 1; }
	done
	echo "check-arm: $trace: $(wc -l <"$out/here") gate and alert events, the same on armv6, armv7 and arm64"
done
