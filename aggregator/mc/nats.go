package mc

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
)

// Names of the broker's files below the community's folder.
const (
	brokerFolder  = "broker"
	aclFile       = "acl"
	NATSUsersFile = "nats-users.conf"
	NATSConfFile  = "nats.conf" // one in the folder of each server
)

// Kinds of brokers.
const (
	BrokerMosquitto = "mosquitto" // one server
	BrokerNATS      = "nats"      // NATSServers that hold every message three times
)

// NATSServers is how many servers are one broker: the fewest of which one may fail.
const NATSServers = 3

// Ports of the servers. On one machine those of the second and third follow.
const (
	mqttPort  = 8883
	routePort = 6222 // between the servers
	watchPort = 8222 // HTTP on loopback, for whoever watches them
	plainPort = 4222 // for NATS's own clients, on loopback, whom the list lets do nothing
)

// A NATSServer is one of the servers.
type NATSServer struct {
	Name, Host  string
	MQTT, Route int
	dir         string // of its data
}

// natsServers are those of a community: one on each of three hosts, or all on this
// machine.
func natsServers(o Options) (servers []NATSServer) {
	for i := range NATSServers {
		s := NATSServer{Name: fmt.Sprintf("nats-%d", i+1), Host: "127.0.0.1", MQTT: mqttPort + i, Route: routePort + i, dir: "jetstream"}
		if len(o.BrokerHosts) > 0 {
			s.Host, s.MQTT, s.Route = o.BrokerHosts[i], mqttPort, routePort
		}
		if o.StateDir != "" {
			s.dir = filepath.Join(o.StateDir, s.Name)
		}
		servers = append(servers, s)
	}
	return servers
}

// natsUser is how the servers name the holder of a certificate: by its whole subject, so
// that the role counts too. Names of hosts in certificates are no users.
func natsUser(id string, role Role) string {
	return fmt.Sprintf("CN=%s,OU=%s,O=fairwatt", id, role)
}

// natsBrokerID is what the servers are called towards each other. The role of
// its certificate keeps a device of that name from being taken for one.
const natsBrokerID = "broker"

// natsConf is the configuration of server number i. The paths are relative to its
// folder, in which it is to be started. NATS finds included files beside the file that
// includes them.
func natsConf(servers []NATSServer, i int, o Options) string {
	me, bind, at := servers[i], "127.0.0.1", 0
	if len(o.BrokerHosts) > 0 {
		bind = "0.0.0.0"
	} else {
		at = i
	}
	var routes strings.Builder
	for _, s := range servers {
		fmt.Fprintf(&routes, "    tls://%s\n", net.JoinHostPort(s.Host, fmt.Sprint(s.Route)))
	}
	return strings.NewReplacer(
		"NAME", me.Name, "BIND", bind, "MQTT", fmt.Sprint(me.MQTT), "ROUTES", strings.TrimSuffix(routes.String(), "\n"),
		"ROUTE", fmt.Sprint(me.Route), "WATCH", fmt.Sprint(watchPort+at), "PLAIN", fmt.Sprint(plainPort+at),
		"DATA", me.dir, "BROKER", natsUser(natsBrokerID, RoleNATS), "USERS", "../"+NATSUsersFile,
	).Replace(natsConfig)
}

// The servers' configuration follows docs.nats.io, "MQTT" and "TLS authentication".
const natsConfig = `# One of three NATS servers (2.15) that are one MQTT broker together. Start each in its
# own folder: nats-server -c nats.conf. It reads its certificate and the users again at SIGHUP.
server_name: NAME

# The users, the same for all servers. "aggregator mc issue" and "mc revoke" write them.
authorization { include "USERS" }

mqtt {
  listen: "BIND:MQTT"
  tls { ca_file: "ca.crt", cert_file: "tls.crt", key_file: "tls.key", min_version: "1.3", timeout: 10, verify_and_map: true }
  # Each message is stored by all three; two of them suffice.
  stream_replicas: 3
  max_ack_pending: 1000
  ack_wait: "30s"
}

jetstream { store_dir: "DATA", max_memory_store: 64MB, max_file_store: 4GB }

# The servers among themselves.
cluster {
  name: "fairwatt"
  listen: "BIND:ROUTE"
  authorization { user: "BROKER" }
  tls { ca_file: "ca.crt", cert_file: "tls.crt", key_file: "tls.key", min_version: "1.3", timeout: 10, verify_and_map: true }
  routes: [
ROUTES
  ]
}

# NATS's own clients have no rights here, and find the port on this machine alone.
listen: "127.0.0.1:PLAIN"
tls { ca_file: "ca.crt", cert_file: "tls.crt", key_file: "tls.key", min_version: "1.3", verify_and_map: true }

# Whoever watches: /healthz, /varz, /jsz.
http: "127.0.0.1:WATCH"
max_payload: 1MB
`

// writeNATS writes the files of the servers: who may do what, and a folder each.
func writeNATS(broker string, c *Community, o Options) error {
	users := natsUsersHead + natsUsersTail
	for _, da := range c.DAs {
		var err error
		if users, err = (brokerUser{da.ID, RoleDA, aggregatorRights(da.ID)}).inNATS(users); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(broker, 0o700); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	if err := writeNew(filepath.Join(broker, NATSUsersFile), []byte(users), 0o644); err != nil {
		return err
	}
	servers := natsServers(o)
	for i, s := range servers {
		dir := filepath.Join(broker, s.Name)
		if err := IssueDir(c.Authority, dir, natsBrokerID, RoleNATS, append(localNames(), s.Host), o.Now); err != nil {
			return err
		}
		if err := writeNew(filepath.Join(dir, NATSConfFile), []byte(natsConf(servers, i, o)), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// natsURL names all servers as one broker.
func natsURL(o Options) string {
	var urls []string
	for _, s := range natsServers(o) {
		urls = append(urls, "tls://"+net.JoinHostPort(s.Host, fmt.Sprint(s.MQTT)))
	}
	return strings.Join(urls, ",")
}

const (
	natsUsersHead = `# Who may do what, by the subject of a certificate; one user a line. Whoever is not named
# here is not let in. A topic's levels are joined by dots, + is * and # is >.
users = [
`
	natsUsersTail = "]\n"
)

// inNATS adds the user's line to the servers' list.
func (u brokerUser) inNATS(list string) (string, error) {
	body, ok := strings.CutSuffix(list, natsUsersTail)
	if !ok {
		return "", fmt.Errorf("does not end in %q; it was changed by hand", natsUsersTail)
	}
	if u.again(list, u.nats()) {
		return list, nil
	}
	if natsWithout(list, u.id) != list {
		return "", fmt.Errorf("names %s %w", u.id, errNamed)
	}
	return body + u.nats() + natsUsersTail, nil
}

// nats is the user in the servers' words. An empty list of what is allowed would allow
// everything. $MQTT.sub is where a server's own subscription hands a user its messages;
// no MQTT client can name it.
func (u brokerUser) nats() string {
	publish := "deny: [\">\"]"
	if len(u.write) > 0 {
		publish = "allow: [" + strings.Join(subjects(u.write), ", ") + "]"
	}
	read := append(subjects(u.read), `"$MQTT.sub.>"`)
	return fmt.Sprintf("  {user: %q, allowed_connection_types: [MQTT], permissions: {publish: {%s}, subscribe: {allow: [%s]}}}\n",
		natsUser(u.id, u.role), publish, strings.Join(read, ", "))
}

// subjects are MQTT filters in NATS's words. In MQTT a filter that ends in # covers the
// level above too (3.1.1, section 4.7.1.2), in NATS one that ends in > does not.
func subjects(filters []string) (out []string) {
	for _, filter := range filters {
		if above, ok := strings.CutSuffix(filter, "/#"); ok {
			out = append(out, fmt.Sprintf("%q", subject(above)))
		}
		out = append(out, fmt.Sprintf("%q", subject(filter)))
	}
	return out
}

func subject(filter string) string {
	return strings.NewReplacer("/", ".", "+", "*", "#", ">").Replace(filter)
}

// natsWithout is the list without the lines of an id, whatever its role.
func natsWithout(list, id string) string {
	var b strings.Builder
	for line := range strings.Lines(list) {
		if !strings.HasPrefix(strings.TrimSpace(line), `{user: "CN=`+id+`,`) {
			b.WriteString(line)
		}
	}
	return b.String()
}
