#!/usr/bin/env bash
# Tries the container files in configs/containers with the programs in bin/: the images are
# built, and every service of the trial's compose file runs as its lines say, not as root, on
# a root that is read-only, without a capability, until the page shows open gates and a trade
# that was paid. No registry is asked: this machine's Mosquitto stands in for its image.
# Where no container can run, the compose file alone is checked, and the reason is printed.
#
#	make build && tools/check-container.sh
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
for program in agent aggregator firmware-sim; do
	[ -x "bin/$program" ] || { echo "check-container: bin/$program is not there: run make build" >&2; exit 1; }
done
if [ -z "${FAIRWATT_CONTAINER_WORK:-}" ]; then
	mkdir -p build
	(cd tools && go build -o ../build/composecheck ./composecheck)
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	chmod 755 "$work"
	cp -r configs "$work/" && rm -f "$work/configs/containers/.env"
	mkdir "$work/bin" && cp bin/agent bin/aggregator bin/firmware-sim "$work/bin/"
	"$work/configs/containers/trial.sh"
	"$root/build/composecheck" -env "$work/trial/.env" "$work/configs/containers/compose.yaml" >"$work/services"
	while IFS=$'\t' read -r name image arguments; do # each command is one of its program
		eval "words=($arguments)"
		while [ "${words[0]}" != "$image" ]; do words=("${words[@]:1}"); done
		case $image in
		fairwatt-simulator) "$work/bin/firmware-sim" "${words[@]:1}" --help ;;
		fairwatt-*) "$work/bin/${image#fairwatt-}" "${words[@]:1}" --help ;;
		*eclipse-mosquitto:*) ;;
		*) false ;;
		esac >"$work/said" 2>&1 || { echo "check-container: $name: ${words[*]}: $(tail -1 "$work/said")" >&2; exit 1; }
	done <"$work/services"
	echo "check-container: $(wc -l <"$work/services") services of compose.yaml have their files, and their programs understand them"
	skip() { echo "check-container: $1: the compose file is checked, not run"; exit 0; }
	[ "$(id -u)" = 0 ] || skip "not root"
	for need in podman jq curl unshare mosquitto mosquitto_pub; do
		PATH=$PATH:/usr/sbin command -v "$need" >/dev/null || skip "$need is not installed"
	done
	unshare --mount --net --pid --fork --kill-child true 2>/dev/null || skip "namespaces are not permitted"
	export FAIRWATT_CONTAINER_WORK=$work
	code=0
	# Networks, processes and mounts of its own: nothing of it is left.
	unshare --mount --net --pid --fork --kill-child --propagation private "$root/tools/check-container.sh" || code=$?
	case $code in
	0) ;;
	77) skip "$(cat "$work/why")" ;;
	*) exit "$code" ;;
	esac
	exit 0
fi

work=$FAIRWATT_CONTAINER_WORK
PATH=$PATH:/usr/sbin
mount -t proc proc /proc && ip link set lo up
# podman wants one hierarchy of groups; ours are not used.
umount -l /sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 none /sys/fs/cgroup 2>/dev/null || { echo "no cgroup2 can be mounted" >"$work/why"; exit 77; }
pod() { podman --root "$work/storage" --runroot "$work/run" --tmpdir "$work/tmp" --storage-driver vfs --cgroup-manager cgroupfs --events-backend none "$@"; }
fail() {
	curl -s 127.0.0.1:8080/api/v1/snapshot | jq -c "[.generators[] | del(.history, .values)], .trades[-2:]" | cut -c1-3000 >&2
	echo "check-container: $*" >&2
	for name in ${2:-broker da-1 mc-1 register-pv-1 pv-1 house-1}; do echo "--- $name" && pod logs --tail 5 "$name" 2>&1 | cut -c1-300; done >&2
	exit 1
}
limits=(--ulimit nofile=1024:1024 --ulimit nproc=4096:4096 --cgroups=disabled --network host --pull never)
# Whether this machine builds and runs any container; what fails after that is our fault.
printf 'FROM scratch\nCOPY agent /agent\n' >"$work/Probe"
{ pod build -q --isolation chroot -f "$work/Probe" -t probe "$work/bin" && pod run --rm "${limits[@]}" --read-only probe /agent --version; } >"$work/said" 2>&1 ||
	{ echo "no container runs here: $(tail -1 "$work/said")" >"$work/why"; exit 77; }
for target in agent aggregator simulator; do
	pod build -q --format docker --isolation chroot -f configs/containers/Containerfile --target "$target" -t "fairwatt-$target" "$work/bin" >"$work/said" 2>&1 ||
		{ cat "$work/said" >&2; echo "check-container: the image $target is not built" >&2; exit 1; }
done
# Mosquitto's image by this machine's programs and what they are linked with.
mkdir -p "$work/mosquitto/bin" "$work/mosquitto/tmp"
for program in mosquitto mosquitto_pub sh date sleep; do
	path=$(command -v "$program")
	cp -L "$path" "$work/mosquitto/bin/"
	ldd "$path" | grep -o '/[^ ]*' | while read -r library; do mkdir -p "$work/mosquitto$(dirname "$library")" && cp -L "$library" "$work/mosquitto$library"; done
done
printf 'FROM scratch\nCOPY . /\nENV PATH=/bin\n' >"$work/Mosquitto"
pod build -q --isolation chroot -f "$work/Mosquitto" -t docker.io/library/eclipse-mosquitto:2.0 "$work/mosquitto" >"$work/said" 2>&1 ||
	{ cat "$work/said" >&2; echo "check-container: no image of this machine's mosquitto" >&2; exit 1; }

mkfifo "$work/never"
await() { # await SECONDS WHAT COMMAND...
	local until=$((SECONDS + $1))
	while ! "${@:3}" >"$work/said" 2>&1; do
		[ "$SECONDS" -lt "$until" ] || fail "not within $1 s: $2: $(head -c 500 "$work/said")"
		read -rt 0.5 <>"$work/never" || true
	done
	echo "check-container: $2"
}
trap 'pod kill --all >/dev/null 2>&1 || true' EXIT
while IFS=$'\t' read -r name _ arguments; do
	eval "words=($arguments)"
	pod run -d "${limits[@]}" "${words[@]}" </dev/null >"$work/said" 2>&1 || fail "$name does not start: $(cat "$work/said")"
done <"$work/services"
shown() { curl -sf 127.0.0.1:8080/api/v1/snapshot | jq -e "$1"; }
await 120 "da-1 is well, by the check in its image" pod healthcheck run da-1
await 120 "both sellers are admitted and seen" shown '[.generators[].id] | contains(["pv-1", "pv-2"])'
await 180 "a gate is OPEN" shown '[.generators[] | select(.state == "OPEN")] | length > 0'
await 60 "pv-1 is well, by the check in its image" pod healthcheck run pv-1
await 240 "a delivery was paid" shown '[.trades[] | select(.status == "settled")] | length > 0'
for name in broker da-1 mc-1 pv-1 house-1; do
	[ "$(pod inspect -f '{{.Config.User}} {{.HostConfig.ReadonlyRootfs}}' "$name")" = "65532:65532 true" ] || fail "$name runs as root or may write"
done
echo "check-container: the trial runs in containers"
