#!/usr/bin/env bash
# Runs what the boards run under qemu-user, for every architecture. Both agents
# replay the committed traces, and their gate and alert events are compared byte
# by byte with this machine's. The tests that hold the scores to Gorgonia's run
# with Gorgonia and with the tag lite.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! command -v qemu-arm >/dev/null || ! command -v qemu-aarch64 >/dev/null; then
	echo 'check-arm: skipped, qemu-user is not installed'
	exit 0
fi
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
events() { grep -E '"type":"(gate|alert)"' || true; }
boards=("qemu-arm armv6 GOARCH=arm GOARM=6" "qemu-arm armv7 GOARCH=arm GOARM=7" "qemu-aarch64 arm64 GOARCH=arm64")
traces=("$@")
[ $# -gt 0 ] || traces=(configs/traces/*.csv)
for trace in "${traces[@]}"; do
	bin/agent replay --trace "$trace" --events - | events >"$out/here"
	[ -s "$out/here" ] || { echo "check-arm: $trace gives no events"; exit 1; }
	for board in "${boards[@]}"; do
		set -- $board
		for agent in agent agent-lite; do
			timeout 600 "$1" "bin/linux-$2/$agent" replay --trace "$trace" --events - | events >"$out/there"
			cmp "$out/here" "$out/there" || { echo "check-arm: $agent on $2 judges $trace otherwise"; exit 1; }
		done
	done
	echo "check-arm: $trace: $(wc -l <"$out/here") gate and alert events, the same by both agents on armv6, armv7 and arm64"
done
for board in "${boards[@]}"; do
	set -- $board
	qemu=$1 name=$2
	shift 2
	for tags in "" lite; do
		env CGO_ENABLED=0 GOOS=linux "$@" go test -c -modfile=build/slim.mod -tags="$tags" -o "$out/nnet.test" ./model/nnet
		(cd model/nnet && timeout 1200 "$qemu" "$out/nnet.test" -test.v -test.run 'TestScoresOfTraces|TestGraphAndPlainPass|TestShippedMembers' >"$out/said" 2>&1) ||
			{ cat "$out/said"; echo "check-arm: ${tags:-default}: scores on $name are others"; exit 1; }
		grep -q '^--- PASS: TestScoresOfTraces' "$out/said" || { cat "$out/said"; echo "check-arm: no scores were compared on $name"; exit 1; }
	done
	echo "check-arm: $name scores as Gorgonia on amd64 to 1e-6, with Gorgonia and without; $(grep -c '^--- PASS' "$out/said") tests"
done
