#!/usr/bin/env bash
# Runs data aggregators as processes, each in a network namespace of its own behind an
# uplink of 10 and then of 100 Mbit/s, with lines that go down, processes that are killed
# and a load. Says why and ends well where namespaces are not permitted.
#
#	tools/soak-netns.sh [TIME] [SEED]	(60s 1; reports in build/)
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-60s} seed=${2:-1}
for tool in ip tc; do
	command -v "$tool" >/dev/null || { echo "skipped: no program $tool (Debian: iproute2)"; exit 0; }
done
probe=fwprobe$$
if ! why=$(ip netns add "$probe" 2>&1 && ip -n "$probe" link set lo up 2>&1 &&
	tc -n "$probe" qdisc add dev lo root tbf rate 10mbit burst 64kb latency 400ms 2>&1); then
	ip netns del "$probe" 2>/dev/null || true
	echo "skipped: this machine permits no network namespaces: $why"
	exit 0
fi
ip netns del "$probe"
mkdir -p bin build
go build -o bin/firmware-sim ./firmware-sim
go build -o bin/aggregator ./aggregator/cmd/aggregator
for mbit in 10 100; do
	echo "uplinks of $mbit Mbit/s, 5 ms each way"
	bin/firmware-sim soak --for "$time" --seed "$seed" --uplink-mbit "$mbit" --delay 5ms --aggregator bin/aggregator \
		--standstill 30s --report "build/soak-netns-$mbit.json"
done
