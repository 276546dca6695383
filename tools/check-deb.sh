#!/usr/bin/env bash
# Installs, starts, upgrades and removes the packages of this machine's architecture that
# `make deb` built, under a systemd of its own: in namespaces, over a copy of this system
# that is thrown away. Where that is not permitted it unpacks them and checks the units,
# and says why.
set -euo pipefail
cd "$(dirname "$0")/.."
arch=$(dpkg --print-architecture 2>/dev/null) || { echo "check-deb: skipped, dpkg is not installed"; exit 0; }
agent=$(ls -t build/deb/fairwatt-agent_*_"$arch".deb 2>/dev/null | head -1)
aggregator=$(ls -t build/deb/fairwatt-aggregator_*_"$arch".deb 2>/dev/null | head -1)
[ -n "$agent" ] && [ -n "$aggregator" ] || { echo "check-deb: no packages for $arch in build/deb: run make deb" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

unpacked() { # unpacked WHY: what can be seen without systemd
	echo "check-deb: $1: the packages are unpacked and their units checked, not run"
	for deb in "$agent" "$aggregator"; do dpkg-deb -x "$deb" "$work/root"; done
	"$work/root/usr/bin/agent" --version && "$work/root/usr/bin/aggregator" --version
	command -v systemd-analyze >/dev/null || exit 0
	mkdir -p "$work/root/lib/systemd" && cp -r /lib/systemd/system "$work/root/lib/systemd/"
	systemd-analyze --root="$work/root" verify fairwatt-agent.service fairwatt-da@da-1.service fairwatt-mc@mc-1.service fairwatt-renew.timer
	exit 0
}
[ "$(id -u)" = 0 ] || unpacked "not root"
[ -x /lib/systemd/systemd ] || unpacked "systemd is not installed"
unshare --pid --mount --ipc --uts --net --cgroup --fork true 2>/dev/null || unpacked "namespaces are not permitted"
mkdir "$work/layer" && mount -t tmpfs tmpfs "$work/layer" 2>/dev/null || unpacked "mounts are not permitted"
trap 'umount -l "$work/layer" 2>/dev/null || true; rm -rf "$work"' EXIT

# A second version for the upgrade: the same files under a higher number.
raise() {
	dpkg-deb -R "$1" "$work/raised"
	sed -i 's/^Version: .*/&+later/' "$work/raised/DEBIAN/control"
	dpkg-deb -Znone -b "$work/raised" "$2" >/dev/null
	rm -rf "$work/raised"
}
mkdir "$work/layer/"{upper,work,root}
mkdir -p "$work/layer/upper/packages"
cp "$agent" "$work/layer/upper/packages/agent.deb"
cp "$aggregator" "$work/layer/upper/packages/aggregator.deb"
raise "$agent" "$work/layer/upper/packages/agent-later.deb"
raise "$aggregator" "$work/layer/upper/packages/aggregator-later.deb"
cp tools/check-deb-inside.sh "$work/layer/upper/packages/run.sh"
mkdir -p "$work/layer/upper/etc/systemd/system"
cat >"$work/layer/upper/etc/systemd/system/check.target" <<'UNIT'
[Unit]
Requires=basic.target check.service
After=basic.target
AllowIsolate=yes
UNIT
cat >"$work/layer/upper/etc/systemd/system/check.service" <<'UNIT'
[Unit]
After=basic.target
[Service]
Type=exec
ExecStart=/bin/bash -c 'bash /packages/run.sh >/packages/log 2>&1; echo $? >/packages/rc; systemctl exit'
TimeoutStartSec=infinity
UNIT

cat >"$work/boot.sh" <<BOOT
set -e
mount -t overlay overlay -o lowerdir=/,upperdir=$work/layer/upper,workdir=$work/layer/work $work/layer/root
cd $work/layer/root
mount -t proc proc proc; mount --rbind /sys sys
for d in run tmp dev; do mount -t tmpfs tmpfs \$d; done
for d in null zero full random urandom tty; do touch dev/\$d; mount --bind /dev/\$d dev/\$d; done
mkdir dev/shm dev/pts dev/mqueue dev/hugepages; mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts; ln -s pts/ptmx dev/ptmx
ip link set lo up
export container=other
# A root that is no mount's own would leave the services' namespaces without theirs.
mkdir -p mnt/host; pivot_root . mnt/host; cd /; umount -l /mnt/host
exec /lib/systemd/systemd --system --log-target=journal --show-status=0 systemd.unit=check.target --unit=check.target
BOOT
# The manager makes its groups below this one; the host's own stay untouched.
timeout -s KILL 300 unshare --pid --mount --ipc --uts --net --cgroup --fork --kill-child --propagation private bash "$work/boot.sh" >"$work/boot.log" 2>&1 </dev/null || true
if [ ! -f "$work/layer/upper/packages/rc" ]; then
	tail -5 "$work/boot.log" "$work/layer/upper/packages/log" 2>/dev/null || true
	[ -f "$work/layer/upper/packages/log" ] && { echo "check-deb: the check inside did not end" >&2; exit 1; }
	umount -l "$work/layer"
	unpacked "systemd does not start in a namespace here"
fi
cat "$work/layer/upper/packages/log"
rc=$(cat "$work/layer/upper/packages/rc")
[ "$rc" = 0 ] && echo "check-deb: installed, started, upgraded and removed under systemd"
exit "$rc"
