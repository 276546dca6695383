#!/usr/bin/env bash
# Runs the agent for ARM on Debian's kernel in an emulator: TestOnARealKernel of
# package agent. It reads a chip on /dev/i2c-0, counts pulses on lines of
# /dev/gpiochip4 and switches a contactor there. Fetches the kernel once into
# build/kernel, from this machine's Debian mirror; skips with a reason where the
# emulator or the kernel cannot be had.
set -euo pipefail
cd "$(dirname "$0")/.."
skip() { echo "check-kernel: skipped, $*"; exit 0; }
command -v qemu-system-arm >/dev/null || skip 'qemu-system-arm is not installed'
qemu-system-arm -M help | grep '^sabrelite ' >/dev/null || skip 'this qemu-system-arm has no sabrelite'

out=$PWD/build/kernel
fetch() { # into $1, from the distribution's archive, without changing what this machine installs
	command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || { echo 'there is no apt-get' && return 1; }
	local apt package sources=/etc/apt/sources.list.d/debian.sources
	[ -f "$sources" ] || sources=/etc/apt/sources.list
	apt=$(mktemp -d)
	mkdir -p "$apt"/{lists,cache}/partial "$apt"/cache/archives/partial "$apt"/unpacked
	local opts=(-q -o APT::Architecture=armhf -o APT::Architectures::=armhf -o "Dir::State::lists=$apt/lists" -o "Dir::Cache=$apt/cache"
		-o Dir::State::status=/dev/null -o "Dir::Etc::sourcelist=$sources" -o Dir::Etc::sourceparts=/dev/null
		-o Acquire::Languages=none -o Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false
		-o APT::Update::Post-Invoke::= -o Debug::NoLocking=1 -o APT::Sandbox::User=root)
	timeout 120 apt-get "${opts[@]}" update >"$apt/said" 2>&1 || true # one archive of several may be away
	package=$(apt-cache "${opts[@]}" depends linux-image-armmp 2>/dev/null | sed -n 's/.*Depends: \(linux-image-[^ ]*\)$/\1/p' | head -1)
	[ -n "$package" ] || { echo "the archive has no linux-image-armmp: $(tail -1 "$apt/said")" && return 1; }
	(cd "$apt" && timeout 240 apt-get "${opts[@]}" download "$package") >"$apt/said" 2>&1 || { tail -1 "$apt/said"; return 1; }
	dpkg-deb -x "$apt/$package"_*.deb "$apt/unpacked"
	mkdir -p "$1"
	cp "$apt"/unpacked/boot/vmlinuz-* "$1/vmlinuz"
	cp "$apt"/unpacked/usr/lib/linux-image-*/imx6q-sabrelite.dtb "$1/"
	mv "$apt"/unpacked/lib/modules/*/kernel "$1/modules"
	find "$1/modules" -name '*.xz' -exec xz -d {} +
	echo "$package" >"$1/version"
	rm -rf "$apt"
}
if [ ! -f "$out/version" ]; then
	rm -rf "$out"
	why=$(fetch "$out") || { rm -rf "$out"; skip "no kernel: $why"; }
fi
(cd tools && CGO_ENABLED=0 GOOS=linux GOARCH=arm GOARM=7 go build -trimpath -ldflags='-s -w' -o "$out/init" ./guestinit)
[ -f bin/linux-armv7/agent ] || { echo 'check-kernel: no bin/linux-armv7/agent: run make arm' >&2; exit 1; }
cp bin/linux-armv7/agent "$out/agent"
echo "check-kernel: $(cat "$out/version"), $(qemu-system-arm --version | head -1)"
FAIRWATT_KERNEL=$out go test -count=1 -timeout 280s -run '^TestOnARealKernel$' -v ./agent | grep -vE '^(=== RUN|PASS)'
