#!/usr/bin/env bash
# A whole day of a community by the commands that docs/operator.md tells, with the
# programs in bin/ and a real broker, on loopback and in a folder that is removed.
# Each step says what it does and what it saw; one that fails ends the script with
# the last lines of every log. Five minutes at most on two cores.
#
#   make build && tools/day.sh            KEEP=1 leaves the folder
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
PATH=$root/bin:$PATH:/usr/sbin
for need in mosquitto mosquitto_sub mosquitto_pub jq curl openssl; do
	command -v "$need" >/dev/null || { echo "day: skipped, $need is not installed"; exit 0; }
done
for program in agent aggregator firmware-sim; do
	[ -x "bin/$program" ] || { echo "day: bin/$program is not there: run make build" >&2; exit 1; }
done
work=$(mktemp -d)
declare -A pids=() leaving=()
began=$SECONDS
. tools/day-lib.sh
trap 'finish $?' EXIT
mkfifo "$work/never"
cd "$work"
free_ports 24

step "Start a community"
run aggregator mc init --dir community --name "Harbour street" --port "$port" --line-loss 1
mqtt=$((port + 10)) home=$((port + 11))
sed -i "s/^listener 8883 /listener $mqtt /" community/broker/mosquitto.conf
for i in 1 2 3 4; do
	sed -i "s,tls://127.0.0.1:8883,tls://127.0.0.1:$mqtt,; s/^http: .*/http: 127.0.0.1:$((port + 11 + i))/" "community/da-$i/da.yaml"
done
page=http://127.0.0.1:$((port + 12))
saw "$(jq -r '"genesis of \(.name), \(.aggregators | length) data aggregators"' community/genesis.json)"

step "Start the broker, the data aggregators and the centre"
start broker mosquitto -v -c community/broker/mosquitto.conf
for i in 1 2 3 4; do start "da-$i" aggregator da --config "community/da-$i/da.yaml"; done
start mc-1 aggregator mc run --config community/mc-1/mc.yaml
for i in 1 2 3 4; do await 60 "da-$i is healthy" curl -sf "127.0.0.1:$((port + 11 + i))/healthz"; done
centre=(--config community/mc-1/mc.yaml)

step "Make keys and certificates"
declare -A roles=([pv-1]=seller [pv-2]=seller [house-1]=buyer)
for id in pv-1 pv-2 house-1; do
	mkdir "$id"
	cp community/genesis.json "$id/"
	run agent enroll --dir "$id/data" --genesis "$id/genesis.json" --device "$id" --role "${roles[$id]}" --recovery
	cp "$id/data/enrolment.json" "$id.json" # it goes to the operator
	tail -1 "$work/said" >"$id/paper"
	run aggregator mc issue --dir community --id "$id" --role agent --out "$id/tls"
done
run aggregator mc issue --dir community --id ha-1 --role viewer --out ha-1
run aggregator mc issue --dir community --id ada --role owner --site harbour --out ada
hup broker

step "Start what is measured: a board, a Modbus meter, a house that speaks MQTT"
board=$((port + 17)) meter=$((port + 18))
noon=(--trace "$root/configs/traces/calm.csv" --start 2026-06-21T03:30:00Z)
start board firmware-sim board "${noon[@]}" --listen "127.0.0.1:$board"
start meter firmware-sim modbus --device eastron-sdm120 "${noon[@]}" --listen "127.0.0.1:$meter"
printf 'listener %d 127.0.0.1\nallow_anonymous true\n' "$home" >home.conf
start home mosquitto -c home.conf
registers() { # two registers of the house, told once a second: 21.6 kW for 12 s, then nothing for 8 s
	local ms wh
	while :; do
		ms=$((${EPOCHREALTIME/./} / 1000 % 1000000000))
		wh=$((ms / 20000 * 72000 + (ms % 20000 < 12000 ? ms % 20000 : 12000) * 6))
		printf '{"voltage":230.4,"kitchen":%d.%03d,"car":%d.%03d}\n' $((wh / 1000)) $((wh % 1000)) $((wh / 1000)) $((wh % 1000))
		read -rt 1 <>"$work/never" || true
	done
}
house() { exec mosquitto_pub -h 127.0.0.1 -p "$home" -t house/status -l < <(registers); }
for p in "$board" "$meter" "$home"; do await 60 "something listens on $p" listens "$p"; done
start house house

step "Start the agents"
# A gate waits five minutes at the start; here 15 seconds, which the agents tell as loosened.
quick="gate: {min_block_s: 15, valid_s: 15}, limits: {enter_service_s: 15}"
agent_yaml() { # agent_yaml ID: what all three say
	cat <<YAML
site: harbour
device: $1
simulated: true
data: data
genesis: genesis.json
mqtt: ["tls://127.0.0.1:$mqtt"]
tls: {ca: tls/ca.crt, cert: tls/tls.crt, key: tls/tls.key}
clock: trusted
telemetry: 2s
home_assistant: true
YAML
}
{
	agent_yaml pv-1
	cat <<YAML
bus: sim://127.0.0.1:$board
sensors:
  - {kind: bme280}
  - {kind: ina219, shunt_ohm: 0.0015, voltage_scale: 25}
  - {kind: tmp102, address: 0x49}
  - {kind: anemometer, pin: ANEMO}
  - {kind: pzem, name: sold, port: METER, address: 1, direction: export}
judge: {grid: eu-50, generator: pv, nominal_voltage_v: 230, nominal_frequency_hz: 50, required: [voltage_v, frequency_hz, temperature_c, wind_gust_mps], $quick}
contactor: {pin: K1, feedback: K1-FB}
sell: {meter: sold, price_micro_per_kwh: 150000, max_wh: 20}
YAML
} >pv-1/agent.yaml
{
	agent_yaml pv-2
	cat <<YAML
network: none
sensors:
  - {kind: modbus, name: sold, endpoint: "127.0.0.1:$meter", map: eastron-sdm120, channels: [voltage_v, current_a, power_w, frequency_hz, energy_export_wh]}
judge: {grid: eu-50, generator: pv, nominal_voltage_v: 230, nominal_frequency_hz: 50, $quick}
contactor: none
sell: {meter: sold, price_micro_per_kwh: 150000, max_wh: 20}
YAML
} >pv-2/agent.yaml
{
	agent_yaml house-1
	cat <<YAML
sensor_broker: {url: "tcp://127.0.0.1:$home"}
network: none
sensors:
  - {kind: mqtt, name: kitchen, topic: house/status, values: [{channel: energy_import_wh, pointer: /kitchen}, {channel: voltage_v, pointer: /voltage}], sole_witness: true}
  - {kind: mqtt, name: car, topic: house/status, values: [{channel: energy_import_wh, pointer: /car}]}
judge: {grid: eu-50, generator: meter, nominal_voltage_v: 230, nominal_frequency_hz: 50, required: [voltage_v], $quick}
buy:
  request_every: 5s
  meter_class_e4: 200
  circuits:
    - {name: kitchen, meter: kitchen, volume_wh: 20, max_price_micro_per_kwh: 250000}
    - {name: car, meter: car, volume_wh: 20, max_price_micro_per_kwh: 250000}
YAML
} >house-1/agent.yaml
for id in pv-1 pv-2 house-1; do
	await 60 "agent check reads every sensor of $id" agent check --config "$id/agent.yaml"
	awk '/energy_.*_wh/ {print $1 "=" int($6)}' awaited >"$id/registers"
done

step "Admit them, with what their meters show, and start them"
register() {
	run aggregator mc register "${centre[@]}" --enrolment "$1.json" --site harbour --simulated --rated-w 25000 $(sed 's/^/--meter /' "$1/registers")
	run aggregator mc deposit "${centre[@]}" --to "$1" --amount 10 --reference "bond-$1" --bond
}
for id in pv-1 pv-2 house-1; do register "$id"; done
month=$(date -u +%Y-%m) # of the deposit: the next may begin before the statement
run aggregator mc deposit "${centre[@]}" --to house-1 --amount 25.50 --reference bank-2041
for id in pv-1 pv-2 house-1; do start "$id" agent run --config "$id/agent.yaml"; done
await 120 "the gates of both sellers are OPEN" shown '[.generators[] | select(.state == "OPEN") | .id] | contains(["pv-1", "pv-2"])'

step "Look on as a person and as Home Assistant: both read, and write nothing"
viewer=(-i ha-1 -h 127.0.0.1 -p "$mqtt" --cafile ha-1/ca.crt --cert ha-1/tls.crt --key ha-1/tls.key)
reads() { mosquitto_sub "${viewer[@]}" -t "$1" -C 1 -W 30 | jq -e "$2"; }
await 60 "ha-1 reads the gate of pv-1" reads fairwatt/v1/harbour/pv-1/gate '.state == "OPEN"'
await 60 "Home Assistant discovers pv-1" reads homeassistant/device/pv-1/config '.components | length > 5'
run mosquitto_pub "${viewer[@]}" -q 1 -t fairwatt/v1/harbour/pv-1/gate -r -m '{"state":"OPEN","forged":true}'
await 60 "the broker denies it" grep -q 'Denied PUBLISH from ha-1 .*fairwatt/v1/harbour/pv-1/gate' broker.log
await 60 "nothing forged is kept" reads fairwatt/v1/harbour/pv-1/gate '.forged == null'
start monitor agent monitor --mqtt "tls://127.0.0.1:$mqtt" --ca ha-1/ca.crt --cert ha-1/tls.crt --key ha-1/tls.key
await 60 "agent monitor shows both sellers" eval 'grep -q pv-1 monitor.log && grep -q pv-2 monitor.log'
stop monitor

step "Trade: both sellers deliver, the house pays"
await 150 "each seller was paid for a delivery" shown '[.trades[] | select(.status == "settled") | .seller] | contains(["pv-1", "pv-2"])'
saw "$(shown '[.trades[] | select(.status == "settled")][-1]' | jq -r '"trade \(.id): \(.seller) to \(.buyer), \(.billed_wh // .energy_wh) Wh"')"
await 60 "the contactor of pv-1 closed for it, and opened" eval 'grep -q "K1 closes" board.log && grep -q "K1 opens" board.log'

step "Tell the house what it paid"
backup() { # backup DA FILE: one data aggregator stops, three go on, and its chain is written out
	stop "$1"
	run aggregator chain export --data "community/$1/data" >/dev/null
	cp said "$2"
	start "$1" aggregator da --config "community/$1/da.yaml"
}
backup da-4 chain-1.jsonl
run aggregator market statement --genesis community/genesis.json --export chain-1.jsonl --member house-1 --month "$month"
grep -q "25.5" said || fail "the statement does not show the deposit"
run aggregator market why --export chain-1.jsonl --user pv-2
await 60 "da-4 is healthy again" curl -sf "127.0.0.1:$((port + 15))/healthz"

step "Renew every certificate while all links live"
height() { curl -sf "${1:-$page}/api/v1/snapshot" | jq .chain.height; }
serial() { openssl x509 -noout -serial -in "$1"; }
shows_cert() { # shows_cert PORT: the serial that a server shows now
	openssl s_client -connect "127.0.0.1:$1" -cert community/mc-1/tls.crt -key community/mc-1/tls.key </dev/null 2>/dev/null | openssl x509 -noout -serial
}
before=$(serial community/da-2/tls.crt) pids_before="${pids[da-1]} ${pids[da-2]} ${pids[pv-1]}"
run aggregator mc renew --dir community --all --within-days 365
for id in pv-1 pv-2 house-1 ha-1; do run aggregator mc renew --dir community --within-days 365 "$id"; done
[ "$before" != "$(serial community/da-2/tls.crt)" ] || fail "the certificate of da-2 is the old one"
new_cert() { [ "$(shows_cert "$1")" = "$(serial "$2")" ]; }
await 60 "da-2 shows its new certificate" new_cert $((port + 1)) community/da-2/tls.crt
hup broker
await 60 "the broker shows its new certificate" new_cert "$mqtt" community/broker/tls.crt
[ "$pids_before" = "${pids[da-1]} ${pids[da-2]} ${pids[pv-1]}" ] || fail "a process was started again"
await 60 "ha-1 reads with its new certificate" reads fairwatt/v1/harbour/pv-1/gate '.state'
at=$(height)
higher() { [ "$(height "$@")" -gt "$at" ]; }
await 120 "blocks go on" higher
await 60 "all four members are reached" shown '.agreement.reachable == 4'

step "Revoke a device: pv-2 was stolen"
retire_meter() {
	aggregator mc meter retire "${centre[@]}" --meter pv-2-sold --end-wh "$(shown '[.generators[] | select(.id == "pv-2")][0].now.energy_wh.sold')"
}
await 120 "the chain knows its meter no more (what was being delivered ended first)" retire_meter
run aggregator mc revoke "${centre[@]}" --dir community --id pv-2 --why stolen --word pv-2/paper
await 60 "the page says that it was revoked" shown '[.generators[] | select(.id == "pv-2") | .standing] == ["revoked"]'
hup broker
denied() { grep -q "Denied PUBLISH from pv-2 .*fairwatt/v1/harbour/pv-2/" broker.log; }
await 60 "the broker takes nothing from pv-2 any more" denied
await 120 "the page holds the gate of pv-2 for closed" shown '[.generators[] | select(.id == "pv-2") | .state] | . == ["EXPIRED"] or . == ["OFFLINE"] or . == ["UNKNOWN"]'
refused "revoked" aggregator mc issue --dir community --id pv-2 --role agent --out pv-2-again
stop pv-2

step "Replace a data aggregator: da-5 joins, da-2 leaves"
run aggregator da join --dir da-5 --id da-5 --address "127.0.0.1:$((port + 4))" --genesis community/genesis.json --ca community/ca.crt
sed -i "s,tls://127.0.0.1:8883,tls://127.0.0.1:$mqtt,; s/^http: .*/http: 127.0.0.1:$((port + 16))/" da-5/da.yaml
run aggregator mc admit "${centre[@]}" --request da-5/request.json --dir community --out da-5/tls.crt
hup broker
start da-5 aggregator da --config da-5/da.yaml
new=http://127.0.0.1:$((port + 16))
await 120 "da-5 votes" shown '.agreement.voting and .agreement.members == 5' "$new"
run aggregator mc retire "${centre[@]}" --id da-2
may_end da-2
saw "it leaves when the epoch ends: after 100 blocks, or when a member asks"

step "Lose a disk: da-3 begins with an empty folder and its keys, and asks for the epoch's end"
stop da-3 KILL
rm -rf community/da-3/data
start da-3 aggregator da --config community/da-3/da.yaml
at=$(height "$new")
await 150 "da-3 has the chain again and votes" eval 'shown .agreement.voting "http://127.0.0.1:$((port + 14))" && [ "$(height "http://127.0.0.1:$((port + 14))")" -ge '"$at"' ]'
ends da-2 150
await 60 "four members remain, da-5 among them" shown '.agreement.members == 4 and ([.agreement.peers[].id] | index("da-2") | not)' "$new"
at=$(height "$new")
await 120 "blocks go on without da-2" higher "$new"

step "Back up and put back: the centre and da-4 on new machines"
mkdir backup
cp -r community/ca.crt community/genesis.json community/mc-1 community/da-4 backup/
rm -rf backup/da-4/data backup/mc-1/counter.db
stop mc-1 && stop da-4 KILL
rm -rf community/mc-1 community/da-4
cp -r backup/mc-1 backup/da-4 community/
start da-4 aggregator da --config community/da-4/da.yaml
start mc-1 aggregator mc run --config community/mc-1/mc.yaml
await 150 "da-4 votes" shown .agreement.voting "http://127.0.0.1:$((port + 15))"
run aggregator mc deposit "${centre[@]}" --to house-1 --amount 1 --reference bank-2042
trades=$(shown '.trade_count.settled // 0')
more() { [ "$(shown '.trade_count.settled // 0')" -gt "$trades" ]; }
await 150 "trades go on" more

step "Verify"
for id in pv-1 house-1; do stop "$id"; done
backup da-1 chain-2.jsonl
run aggregator chain verify --genesis community/genesis.json --export chain-2.jsonl
stop da-4
run aggregator chain verify --genesis community/genesis.json --data community/da-4/data
record=$(jq -r 'select(.height != null) | .decoded.records[]?.id // empty' chain-2.jsonl | tail -1)
run aggregator chain prove --record "$record" --export chain-2.jsonl
cp said proof.json
run aggregator chain verify --genesis community/genesis.json --proof proof.json
# One character of one block's bytes is another.
jq -c 'if .height == 40 then .block |= (.[:400] + (if .[400:401] == "A" then "B" else "A" end) + .[401:]) else . end' chain-2.jsonl >forged.jsonl
cmp -s <(jq -c . chain-2.jsonl) forged.jsonl && fail "nothing was forged"
refused "" aggregator chain verify --genesis community/genesis.json --export forged.jsonl

step "Install the packages"
cd "$root"
if ls build/deb/fairwatt-aggregator_*.deb >/dev/null 2>&1; then
	run tools/check-deb.sh
else
	echo "    skipped: no packages in build/deb (make deb)"
fi
cd "$work"
! grep Denied broker.log | grep -qv ' \(ha-1\|pv-2\) ' || fail "the broker denied more: $(grep Denied broker.log | grep -v ' \(ha-1\|pv-2\) ' | head -3)"
saw "the broker denied nothing but what ha-1 and the revoked pv-2 tried to write"
