# What tools/day.sh is written with: steps, processes of its own, and waiting for
# something to become true.
steps=0

step() { steps=$((steps + 1)) && printf '\n[%3d s] %d. %s\n' $((SECONDS - began)) "$steps" "$*"; }
saw() { printf '    saw: %s\n' "$*"; }
fail() { printf 'day: step %d failed: %s\n' "$steps" "$*" >&2 && exit 1; }

# run COMMAND...: prints the command and what it says; its failure is the script's.
run() {
	printf '    $ %s\n' "$*"
	"$@" >"$work/said" 2>&1 || { sed 's/^/      /' "$work/said" >&2 && fail "$1 ended with an error"; }
	head -12 "$work/said" | cut -c1-160 | sed 's/^/      /'
}

# refused WORDS COMMAND...: the command has to fail, and to say these words.
refused() {
	printf '    $ %s\n' "${*:2}"
	"${@:2}" >"$work/said" 2>&1 && fail "${*:2}: it should have been refused"
	grep -q -- "$1" "$work/said" || { cat "$work/said" >&2 && fail "the refusal does not say: $1"; }
	tail -1 "$work/said" | cut -c1-160 | sed 's/^/      refused: /'
}

# start NAME COMMAND...: runs in the background, with its log in NAME.log.
start() {
	printf '    $ %s &\n' "${*:2}"
	"${@:2}" >>"$work/$1.log" 2>&1 </dev/null &
	pids[$1]=$!
}

# stop NAME [SIGNAL]: ends a process that start began, and waits for it.
stop() {
	local pid=${pids[$1]}
	unset "pids[$1]"
	kill "-${2:-TERM}" "$pid"
	wait "$pid" 2>/dev/null || true
}

# may_end NAME: from here on a process that start began may end by itself, at any time.
may_end() {
	leaving[$1]=${pids[$1]}
	unset "pids[$1]"
}

# ends NAME SECONDS: a process that may end has ended by itself.
ends() {
	local pid=${leaving[$1]}
	await "$2" "$1 ended by itself" eval "! kill -0 $pid"
	unset "leaving[$1]"
	wait "$pid" || true
}

hup() { kill -HUP "${pids[$1]}"; }

# await SECONDS WHAT COMMAND...: until the command succeeds; no longer than so long,
# and not once a process of ours is gone.
await() {
	local until=$((SECONDS + $1)) name
	while ! "${@:3}" >"$work/awaited" 2>&1; do
		for name in "${!pids[@]}"; do
			kill -0 "${pids[$name]}" 2>/dev/null || fail "$name has ended while $2 was awaited"
		done
		[ "$SECONDS" -lt "$until" ] || { head -c 2000 "$work/awaited" >&2 && fail "$1 s have passed and not: $2"; }
		read -rt 0.3 <>"$work/never" || true
	done
	saw "$2"
}

# shown FILTER [PAGE]: whether the page's snapshot satisfies a filter of jq.
shown() { curl -sf "${2:-$page}/api/v1/snapshot" | jq -e "$1"; }

listens() { (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# free_ports N: sets port to the first of N that no one listens on, below those that
# outgoing connections are given: such a one is taken while its server is down.
free_ports() {
	local p
	for port in $(seq $((10000 + $$ % 20000)) "$1" 32700); do
		for p in $(seq "$port" $((port + $1 - 1))); do
			listens "$p" && continue 2
		done
		return 0
	done
	fail "no free ports"
}

# finish CODE: ends all that start began, tells the logs of a failure, and removes the folder.
finish() {
	local name pid
	trap - EXIT
	if [ "$1" != 0 ]; then
		for name in "$work"/*.log; do
			printf -- '---- %s\n' "$(basename "$name")" >&2
			grep -v ' \(PUBLISH\|PUBACK\|PINGREQ\|PINGRESP\) ' "$name" | tail -15 | cut -c1-300 >&2 || true
		done
	fi
	for pid in "${pids[@]}" "${leaving[@]}"; do kill "$pid" 2>/dev/null || true; done
	for pid in "${pids[@]}" "${leaving[@]}"; do wait "$pid" 2>/dev/null || true; done
	[ -n "${KEEP:-}" ] && echo "day: the folder is $work" || rm -rf "$work"
	[ "$1" = 0 ] && printf '\nday: all %d steps passed in %d s\n' "$steps" $((SECONDS - began))
	exit "$1"
}
