#!/usr/bin/env bash
# Checks the commands that the documents show, with the programs in bin/. Each is
# understood by its program: the command is there, and each flag takes the value that
# stands there. With --rows each row of README's table runs too, literally, in a network
# of its own where this machine permits one; that takes some minutes.
#
#	make build && tools/check-docs.sh [--rows]
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for program in agent aggregator firmware-sim model; do
	[ -x "bin/$program" ] || { echo "check-docs: bin/$program is not there: run make build" >&2; exit 1; }
done

# shown FILE...: the commands in indented and fenced lines, and in `...`, one a line with
# its place: backslashes joined, comments, pipes and redirections gone.
shown() {
	awk '
	function take(text) {
		sub(/^ */, "", text); sub(/^sudo -u [a-z]+ /, "", text); sub(/^bin\//, "", text)
		if (text !~ /^(agent|aggregator|firmware-sim|model) [a-z]/) return
		gsub(/  +#.*$/, "", text); gsub(/ [|>] .*$/, "", text); gsub(/[][]/, "", text)
		print FILENAME ":" line "\t" text
	}
	FNR == 1 { joined = ""; fenced = 0 }
	/^ *```/ { fenced = !fenced; next }
	(fenced || /^    /) && /\\$/ { if (joined == "") line = FNR; sub(/\\$/, ""); joined = joined $0; next }
	fenced || /^    / || joined != "" { if (joined == "") line = FNR; take(joined $0); joined = ""; next }
	{ line = FNR; n = split($0, part, "`"); for (i = 2; i <= n; i += 2) take(part[i]) }
	' "$@"
}

# understood WORD...: the program knows the command, and its flags as they stand.
understood() {
	local path=$1 said words=("${@:2}") word
	local alone=()
	# A flag that prose names alone, without its value, is one that the help tells.
	[[ ${words[-1]} != --?* ]] || { alone=("${words[-1]}") && unset 'words[-1]'; }
	said=$("bin/$1" "${words[@]}" --help 2>&1) || { echo "$said" | tail -1; return 1; }
	[ -z "${alone[*]}" ] || grep -qE -- "^ .*${alone[0]%%=*}( |\$)" <<<"$said" || { echo "no flag ${alone[0]}"; return 1; }
	for word in "${words[@]:0:3}"; do
		[[ $word =~ ^[a-z][a-z-]*$ ]] || break
		"bin/$1" ${path#"$1"} --help | grep '^Available Commands:' >/dev/null || break
		path="$path $word"
		# Cobra answers for a word that it does not know with the help of what is above it.
		"bin/$1" ${path#"$1"} --help | grep -E "^  $path( |\$)" >/dev/null || { echo "no command $path"; return 1; }
	done
}

if [ -z "${FAIRWATT_DOCS_INSIDE:-}" ]; then
checked=0 bad=0
while IFS=$'\t' read -r place text; do
	text=${text//|[a-z|]*/} # one of several words
	text=$(sed -E 's/(--seed|--height|--units|--daily-wh) [A-Z]+/\1 1/; s/--month M/--month 2024-07/' <<<"$text")
	eval "words=($(sed 's/[;&|<>()$]/\\&/g' <<<"$text"))"
	if ! why=$(understood "${words[@]}"); then
		echo "$place: $text: $why" >&2
		bad=$((bad + 1))
	fi
	checked=$((checked + 1))
done < <(shown README.md docs/agent.md docs/operator.md docs/market.md docs/trace-format.md docs/waveforms.md docs/experiments.md docs/troubleshooting.md docs/quick-start.md docs/wiring.md)
[ "$checked" -gt 60 ] || { echo "check-docs: only $checked commands were found" >&2; exit 1; }
[ "$bad" = 0 ] || { echo "check-docs: $bad of $checked commands are not as their programs have them" >&2; exit 1; }
echo "check-docs: $checked commands of the documents are understood"
fi

[ "${1:-}" = --rows ] || [ -n "${FAIRWATT_DOCS_INSIDE:-}" ] || exit 0
# README's table, row by row. A row that is not known here fails, so that none is added untried.
for need in jq curl; do
	command -v "$need" >/dev/null || { echo "check-docs: skipped the rows of README's table, $need is not installed"; exit 0; }
done
if [ -z "${FAIRWATT_DOCS_INSIDE:-}" ]; then
	if unshare --user --map-root-user --net ip link set lo up 2>/dev/null; then
		export FAIRWATT_DOCS_INSIDE=1
		exec unshare --user --map-root-user --net bash -c 'ip link set lo up && exec tools/check-docs.sh'
	fi
	echo "check-docs: skipped the rows of README's table: no network of its own is permitted here"
	exit 0
fi
export PATH=$root/bin:$PATH:/usr/sbin
pids=()
trap 'for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done; wait; rm -rf "$work"' EXIT
mkfifo "$work/never"
cp -r configs "$work/" && ln -s "$root/bin" "$work/bin"
cd "$work"
fail() { echo "check-docs: $*" >&2 && tail -n 5 "$work"/log.* >&2; exit 1; }
until_true() { # until_true SECONDS WHAT COMMAND...
	local until=$((SECONDS + $1))
	while ! "${@:3}" >said 2>&1; do
		[ "$SECONDS" -lt "$until" ] || { head -c 1000 said >&2 && fail "not within $1 s: $2"; }
		read -rt 0.3 <>never || true
	done
}
live() { curl -sf 127.0.0.1:8080/api/v1/snapshot | jq -e '.chain.height > 3 and (.generators | length > 0)'; }
# lives COMMAND...: starts, shows a page with blocks on it, and ends well when it is told to.
lives() {
	"$@" >log.lives 2>&1 &
	local pid=$!
	pids+=("$pid")
	until_true 120 "the page of $*" live
	kill -TERM "$pid" # make hands it on, and then says that it was stopped
	wait "$pid" || [ "$1" = make ] || fail "$*: ended with $?"
	until_true 30 "$* has ended" eval '! listens 8080'
}
background() {
	"$@" >"log.${#pids[@]}" 2>&1 &
	pids+=($!)
}
listens() { (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
comtrade() { # a recorder's file: 230 V at 50 Hz, with a dip
	printf '%s\r\n' 'station,recorder,1999' '1,1A,0D' '1,UA,A,,V,0.1,0,0,-32767,32767,1,1,P' 50 1 1000,600 \
		'01/01/2024,00:00:00.000000' '01/01/2024,00:00:00.100000' ASCII 1 >fault.cfg
	awk 'BEGIN { for (i = 1; i <= 600; i++) printf "%d,%d,%d\r\n", i, (i-1)*1000, (i > 200 && i < 320 ? 900 : 3252) * sin((i-1)*0.314159265) }' >fault.dat
}
row() { # row COMMAND: runs one command of the table
	case $1 in
	'make run TRACES=DIR') lives make -s -C "$root" run TRACES=configs/traces ;;
	'bin/agent replay --trace configs/traces/squall.csv --plot squall.svg') $1 >log.replay && grep -q '<svg' squall.svg ;;
	'bin/agent import --format metar --month 2024-07 FILE')
		echo 'EHAM 010025Z 24012G27KT 9999 -TSRA FEW020CB 18/14 Q1009=' >FILE && $1 >log.import && grep -q wind_gust_mps log.import ;;
	'bin/firmware-sim scenario --list') $1 | grep cyclone >/dev/null ;;
	'bin/firmware-sim grid '*) # to its end, or for a while, and what it reports
		timeout -s TERM 25 $1 >log.grid 2>log.grid-err || [ $? = 124 ]
		grep -qs '"chain_verified": true' log.grid r.json report.json && rm -f r.json report.json ;;
	'bin/firmware-sim board '*) background $1 && until_true 30 "the board listens" listens 7000 ;;
	'bin/agent run --config configs/agent/sim-board.yaml')
		printf '%s\n' 'listener 1883 127.0.0.1' 'allow_anonymous true' 'user root' >broker.conf # no other user is known in here
		command -v mosquitto >/dev/null && background mosquitto -c broker.conf && until_true 30 "the broker listens" listens 1883
		background $1 && until_true 60 "the agent judges" bin/agent status --config configs/agent/sim-board.yaml ;;
	'bin/agent detect --bus sim://127.0.0.1:7000') $1 >log.detect && grep -q bme280 log.detect ;;
	'bin/agent detect --out agent.yaml') $1 --within 5s >log.detect 2>&1 || grep -qi 'no sensor\|nothing' log.detect ;;
	'bin/agent monitor --mqtt tcp://127.0.0.1:1883')
		if listens 1883; then background $1 && until_true 60 "monitor shows pv-1" grep -q pv-1 "log.$((${#pids[@]} - 1))"; fi ;;
	'bin/agent ack --rule E12 --by NAME --config FILE')
		! ${1/FILE/configs/agent/sim-board.yaml} >log.ack 2>&1 && grep -q E12 log.ack ;; # nothing waits for it, and the agent says so
	'bin/agent block --by NAME --until 2h --why TEXT --config FILE')
		${1/FILE/configs/agent/sim-board.yaml} >log.block && bin/agent status --config configs/agent/sim-board.yaml | grep B01 >/dev/null ;;
	'bin/aggregator chain export --data DIR') : ;; # tools/day.sh runs it, and verify, on a real chain
	'bin/aggregator chain verify '*) : ;;
	'bin/agent replay --trace FILE.cfg --events -') comtrade && ${1/FILE.cfg/fault.cfg} >log.comtrade ;;
	'bin/aggregator tree why --da da-2 --page http://127.0.0.1:8080')
		background bin/firmware-sim grid --http 127.0.0.1:8080 && until_true 120 "the page of the grid" live && $1 >log.why && grep -q da-2 log.why ;;
	'bin/aggregator wct build --in tree.json')
		echo '{"n":4,"t_e4":[9000,9000,9000,9000],"l":[2,2,2,2],"w_us":[[0,2,3,4],[2,0,2,3],[3,2,0,2],[4,3,2,0]],"wt":1,"wl":1,"t_thre_e4":8000,"w_thre_us":8000}' >tree.json
		$1 >log.wct && grep -q '"' log.wct ;;
	*) fail "README shows a command that is not tried here: $1" ;;
	esac || fail "README's command failed: $1"
	echo "check-docs: $1"
}

rows=0
while read -r command; do
	row "$command"
	rows=$((rows + 1))
done < <(awk '/^\| you want to/ {on = 1} /^$/ {on = 0} on' "$root/README.md" | grep -o '`[^`]*`' | tr -d '\`' | sed 's/ [|>] .*//' |
	grep -E '^(make run|bin/(agent|aggregator|firmware-sim) .* )')
[ "$rows" -gt 15 ] || fail "only $rows commands were found in README's table"
echo "check-docs: $rows commands of README's table ran"
