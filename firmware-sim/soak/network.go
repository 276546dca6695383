package soak

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"fairwatt/proto/loopback"
)

// A Network puts each data aggregator into a network namespace of its own, behind an
// uplink of a bounded rate. Linux and root alone can do that.
type Network struct {
	// UplinkMbit is the rate of what a data aggregator sends, in Mbit/s.
	UplinkMbit int
	// Delay is what each packet takes longer on its way, each way.
	Delay time.Duration
}

// subnet is that of data aggregator k: .1 is this process, .2 is the data aggregator.
func subnet(k, host int) string { return fmt.Sprintf("10.77.%d.%d", k+1, host) }

// memberPort is where a data aggregator listens in its namespace.
const memberPort = "7000"

// namespaces are those of a run.
type namespaces struct {
	names, links []string
}

// Permitted says why this process can make no network namespaces; nil if it can.
func (n *Network) Permitted() error {
	probe := &namespaces{}
	err := probe.add(0, n.UplinkMbit)
	return errors.Join(err, probe.remove())
}

// namespacesOf makes those of so many data aggregators.
func (n *Network) namespacesOf(das int) (*namespaces, error) {
	s := &namespaces{}
	for k := range das {
		if err := s.add(k, n.UplinkMbit); err != nil {
			return nil, errors.Join(err, s.remove())
		}
	}
	return s, nil
}

// add makes one namespace with its link. The names hold the process, so that two runs
// can tell theirs apart; their addresses would be the same, and the second run fails.
func (s *namespaces) add(k, mbit int) error {
	name, link := fmt.Sprintf("fw%d-%d", os.Getpid(), k+1), fmt.Sprintf("fw%d-%d", os.Getpid()%100000, k+1)
	if err := run("ip", "netns", "add", name); err != nil {
		return err
	}
	s.names = append(s.names, name)
	if err := run("ip", "link", "add", link, "type", "veth", "peer", "name", "uplink", "netns", name); err != nil {
		return err
	}
	s.links = append(s.links, link)
	for _, args := range [][]string{
		{"ip", "addr", "add", subnet(k, 1) + "/24", "dev", link},
		{"ip", "link", "set", link, "up"},
		{"ip", "-n", name, "addr", "add", subnet(k, 2) + "/24", "dev", "uplink"},
		{"ip", "-n", name, "link", "set", "lo", "up"},
		{"ip", "-n", name, "link", "set", "uplink", "up"},
		{"tc", "-n", name, "qdisc", "add", "dev", "uplink", "root", "tbf", "rate", fmt.Sprintf("%dmbit", mbit), "burst", "64kb", "latency", "400ms"},
	} {
		if err := run(args...); err != nil {
			return err
		}
	}
	return nil
}

// remove takes links and namespaces away. A namespace alone would take its link along,
// but only a moment later.
func (s *namespaces) remove() (err error) {
	for _, link := range s.links {
		err = errors.Join(err, run("ip", "link", "del", link))
	}
	for _, name := range s.names {
		err = errors.Join(err, run("ip", "netns", "del", name))
	}
	s.names, s.links = nil, nil
	return err
}

// within is a command line that runs another in the namespace of a data aggregator.
func (s *namespaces) within(k int, command []string) []string {
	return append([]string{"ip", "netns", "exec", s.names[k]}, command...)
}

// set takes a link down or up.
func (s *namespaces) set(k int, state string) error {
	return run("ip", "link", "set", s.links[k], state)
}

func run(args ...string) error {
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// address is where a data aggregator listens.
func (s *soak) address(k int) (string, error) {
	if s.spaces == nil {
		return loopback.FreeAddress()
	}
	return net.JoinHostPort(subnet(k, 2), memberPort), nil
}

// forward makes a forwarder that data aggregator k can reach.
func (s *soak) forward(k int, target string) (*forwarder, error) {
	if s.spaces == nil {
		return newForwarder("127.0.0.1", target, 0)
	}
	return newForwarder(subnet(k, 1), target, s.cfg.Network.Delay)
}

const brokerScheme = "tls://"

// brokerOf is where a data aggregator finds the broker. Its forwarder stands in for a
// broker that listens everywhere.
func (s *soak) brokerOf(p *process) string {
	if p.broker == nil {
		return s.broker.URL()
	}
	return brokerScheme + p.broker.address()
}

// brokerHosts are the addresses that the broker's certificate has to name.
func (s *soak) brokerHosts() (hosts []string) {
	if s.spaces == nil {
		return nil
	}
	for k := range s.cfg.DAs {
		hosts = append(hosts, subnet(k, 1))
	}
	return hosts
}

// down takes the line of a data aggregator away for a while: no one hears of it.
func (s *soak) down(ctx context.Context, group *errgroup.Group, p *process, d time.Duration) error {
	s.note("the line of %s%s is down for %.1f s", p.id, s.isRoot(p), d.Seconds())
	return s.lasting(ctx, group, d, func() error { return s.spaces.set(p.number, "down") }, func() error {
		defer p.mark(false)
		return s.spaces.set(p.number, "up")
	})
}
