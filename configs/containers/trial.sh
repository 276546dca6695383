#!/usr/bin/env bash
# Makes the files of a trial in containers (compose.yaml) with the programs in bin/: the
# community, each agent's key, enrolment, certificate and configuration, and .env with the
# user of the containers. A folder that exists is left as it is.
#
#	make build && configs/containers/trial.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
PATH=$PWD/bin:$PATH
umask 077
[ ! -e trial ] || { echo "trial.sh: trial/ is there; remove it to begin anew" >&2; exit 1; }
making=$(mktemp -d "$PWD/trial.XXXXXX")
trap 'rm -rf "$making"' EXIT
cd "$making"

aggregator mc init --dir community --name "Trial street" --line-loss 1 >/dev/null
# Its paths are those in the containers. The broker's image becomes no other user.
sed -i "s,$making/,/trial/,; /^user /d" community/broker/mosquitto.conf
for i in 1 2 3 4; do
	sed -i "s/^http: .*/http: 127.0.0.1:$((8079 + i))/" "community/da-$i/da.yaml"
done
# The published port comes in from outside the container; on this machine it is on loopback.
sed -i 's/^http: .*/http: 0.0.0.0:8080\nhttp_remote: true/' community/da-1/da.yaml
printf 'listener 1884 127.0.0.1\nallow_anonymous true\n' >house-broker.conf
cat >house-meter.sh <<'METER'
# A register of the house, told once a second; it begins at 0.
began=$(date +%s)
while sleep 1; do
	s=$(($(date +%s) - began)) on=$((s % 20))
	[ "$on" -lt 12 ] || on=12
	echo "{\"voltage\":230.4,\"kitchen\":$((s / 20 * 72 + on * 6))}"
done | mosquitto_pub -h 127.0.0.1 -p 1884 -t house/status -l
METER

# A gate waits five minutes at the start; here 15 seconds, which the agents tell as loosened.
quick="gate: {min_block_s: 15, valid_s: 15}, limits: {enter_service_s: 15}"
grid="grid: eu-50, nominal_voltage_v: 230, nominal_frequency_hz: 50"
agent_yaml() { # agent_yaml ID: what all three say
	cat <<YAML
site: harbour
device: $1
simulated: true
data: data
genesis: genesis.json
mqtt: ["tls://127.0.0.1:8883"]
tls: {ca: tls/ca.crt, cert: tls/tls.crt, key: tls/tls.key}
clock: trusted # the machine's own clock is the containers'
telemetry: 2s
YAML
}
seller_yaml() { # seller_yaml PORT: a board and what it sells
	cat <<YAML
bus: sim://127.0.0.1:$1
sensors:
  - {kind: bme280}
  - {kind: ina219, shunt_ohm: 0.0015, voltage_scale: 25}
  - {kind: tmp102, address: 0x49}
  - {kind: anemometer, pin: ANEMO}
  - {kind: pzem, name: sold, port: METER, address: 1, direction: export}
judge: {$grid, generator: pv, required: [voltage_v, frequency_hz, temperature_c, wind_gust_mps], $quick}
contactor: {pin: K1, feedback: K1-FB}
sell: {meter: sold, price_micro_per_kwh: 150000, max_wh: 20}
YAML
}
owner=$(id -u):$(id -g)
[ "$(id -u)" != 0 ] || owner=65532:65532 # no container runs as root
echo "FAIRWATT_USER=$owner" >.env
for id in pv-1 pv-2 house-1; do
	mkdir "$id"
	cp community/genesis.json "$id/"
	role=seller
	[ "$id" != house-1 ] || role=buyer
	agent enroll --dir "$id/data" --genesis "$id/genesis.json" --device "$id" --role "$role" >/dev/null
	cp "$id/data/enrolment.json" "$id.json" # for the centre
	aggregator mc issue --dir community --id "$id" --role agent --out "$id/tls" >/dev/null
	agent_yaml "$id" >"$id/agent.yaml"
done
seller_yaml 7001 >>pv-1/agent.yaml
seller_yaml 7002 >>pv-2/agent.yaml
cat >>house-1/agent.yaml <<YAML
sensor_broker: {url: "tcp://127.0.0.1:1884"}
network: none
sensors:
  - {kind: mqtt, name: kitchen, topic: house/status, values: [{channel: energy_import_wh, pointer: /kitchen}, {channel: voltage_v, pointer: /voltage}], sole_witness: true}
judge: {$grid, generator: meter, required: [voltage_v], $quick}
buy:
  request_every: 5s
  meter_class_e4: 200
  circuits:
    - {name: kitchen, meter: kitchen, volume_wh: 20, max_price_micro_per_kwh: 250000}
YAML
[ "$(id -u)" != 0 ] || chown -R "$owner" .
cd .. && mv "$making" trial && trap - EXIT
cp trial/.env configs/containers/.env # where compose looks for it
echo "trial/ is made: docker compose -f configs/containers/compose.yaml up --build"
