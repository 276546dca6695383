#!/usr/bin/env bash
# Runs under the systemd that check-deb.sh started, as root, in a system that is thrown
# away.
set -euo pipefail
fail() { echo "check-deb: $1" >&2; journalctl --no-pager -q -n 60 >&2 || true; exit 1; }
within() { # within SECONDS COMMAND...: until it succeeds
	local end=$((SECONDS + $1)); shift
	until "$@" >/dev/null 2>&1; do [ $SECONDS -lt $end ] || return 1; sleep 0.2; done
}
dpkg -i /packages/agent.deb /packages/aggregator.deb
id fairwatt
stat -c '%U %a' /var/lib/fairwatt | grep -qx 'fairwatt 700' || fail "/var/lib/fairwatt is $(stat -c '%U %a' /var/lib/fairwatt)"
agent --version && aggregator --version
man -w agent-run aggregator-mc-init >/dev/null || [ ! -x /usr/bin/man ] || fail "no manual pages"

# A community of four on this machine, as operator.md has it.
cd /root && aggregator mc init --dir community --state /var/lib/fairwatt
cp -r community/da-* community/mc-1 community/genesis.json community/ca.crt /etc/fairwatt/
chown -R fairwatt: /etc/fairwatt
systemctl start fairwatt-da@da-{1,2,3,4} fairwatt-mc@mc-1 || fail "the services do not start"
for i in 1 2 3 4; do
	within 60 curl -sf "http://127.0.0.1:$((8079 + i))/healthz" || fail "da-$i: $(curl -s "http://127.0.0.1:$((8079 + i))/healthz")"
done
sudo() { setpriv --reuid=fairwatt --regid=fairwatt --init-groups "$@"; }
sudo agent enroll --dir /var/lib/fairwatt --genesis /etc/fairwatt/genesis.json --device pv-1 --role seller
sudo aggregator mc register --config /etc/fairwatt/mc-1/mc.yaml --enrolment /var/lib/fairwatt/enrolment.json --site harbour --wait 2m ||
	fail "no registration"
[ -s /var/lib/fairwatt/da-1/data/chain.db ] || fail "the chain is not below /var/lib/fairwatt"

# An agent that judges; its sensor answers no one, so the gate stays closed.
cat >/etc/fairwatt/agent.yaml <<'YAML'
site: harbour
device: pv-1
data: /var/lib/fairwatt
network: none
sensors: [{kind: sunspec, endpoint: "127.0.0.1:1"}]
YAML
systemctl start fairwatt-agent || fail "the agent does not start"
pids() { systemctl show -p MainPID --value fairwatt-agent fairwatt-da@da-1 fairwatt-mc@mc-1 | xargs; }
before=$(pids)
systemctl is-active fairwatt-agent fairwatt-da@da-{1,2,3,4} fairwatt-mc@mc-1 || fail "not all run"
[ "$(systemctl show -p NRestarts --value fairwatt-agent fairwatt-da@da-1 fairwatt-mc@mc-1 | xargs)" = "0 0 0" ] || fail "something restarted"

dpkg -i /packages/agent-later.deb /packages/aggregator-later.deb
after=$(pids)
for n in 1 2 3; do
	old=$(cut -d' ' -f$n <<<"$before") new=$(cut -d' ' -f$n <<<"$after")
	[ "$old" != 0 ] && [ "$new" != 0 ] && [ "$old" != "$new" ] || fail "upgrade: processes were $before and are $after"
done
within 60 curl -sf http://127.0.0.1:8080/healthz || fail "after the upgrade: $(curl -s http://127.0.0.1:8080/healthz)"

dpkg -r fairwatt-agent fairwatt-aggregator
[ "$(pids)" = "0 0 0" ] || fail "removed, and running: $(pids)"
[ ! -e /usr/bin/agent ] && [ ! -e /usr/bin/aggregator ] || fail "programs are left"
[ -s /var/lib/fairwatt/da-1/data/chain.db ] && [ -s /var/lib/fairwatt/agent.key ] || fail "keys or chain are gone"
dpkg -P fairwatt-agent fairwatt-aggregator
[ -s /var/lib/fairwatt/agent.key ] || fail "a purge took the key"
