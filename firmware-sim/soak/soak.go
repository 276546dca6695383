package soak

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/mc"
	"fairwatt/firmware-sim/grid"
	"fairwatt/proto/seal"
)

// Options are what a run needs besides its Config.
type Options struct {
	// Member is the command line that runs one data aggregator, by Member; the
	// folder comes behind it.
	Member []string
	// Aggregator is the program whose `chain verify` looks at each chain as well;
	// empty: none does.
	Aggregator string
	// Out gets a line for each deed, and one now and then.
	Out io.Writer
}

// A soak is a run.
type soak struct {
	cfg       Config
	opts      Options
	genesis   *ledger.Genesis
	authority *mc.Authority
	broker    *grid.Broker
	all       []*process
	devices   []*device
	vandal    *vandal
	watch     *watch
	spaces    *namespaces // nil: all are on the loopback of this machine
	began     time.Time
	agreed    uint64 // height of all when the load was over and nothing waited
	report    Report
}

// Run plays a soak. Broken promises stand in the report and are no error.
func Run(ctx context.Context, cfg Config, opts Options) (*Report, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &soak{cfg: cfg, opts: opts, report: Report{Seed: cfg.Seed, DAs: cfg.DAs, Faulty: cfg.faulty()}}
	if cfg.Network != nil {
		var err error
		if s.spaces, err = cfg.Network.namespacesOf(cfg.DAs); err != nil {
			return nil, err
		}
	}
	r, err := s.run(ctx)
	if s.spaces != nil {
		err = errors.Join(err, s.spaces.remove())
	}
	return r, err
}

func (s *soak) run(ctx context.Context) (*Report, error) {
	forwarders, err := s.found()
	if err != nil {
		return nil, err
	}
	if err := s.broker.Start(); err != nil {
		return nil, err
	}
	for _, p := range s.all {
		if p.broker != nil {
			p.broker.target = strings.TrimPrefix(s.broker.URL(), brokerScheme)
		}
	}
	carried, end := errgroup.WithContext(context.WithoutCancel(ctx))
	for _, f := range forwarders {
		carried.Go(func() error { return f.run(end) })
	}
	err = s.play(ctx)
	for _, p := range s.all {
		if p.cmd != nil { // those that still run, after an error
			err = errors.Join(err, p.signal(syscall.SIGCONT), p.kill())
		}
	}
	for _, f := range forwarders {
		err = errors.Join(err, f.close())
	}
	err = errors.Join(err, carried.Wait(), s.broker.Stop())
	if err != nil {
		return nil, err
	}
	if err := s.check(ctx); err != nil {
		return nil, err
	}
	return &s.report, nil
}

// deviceID names device k; the last one is hostile.
func deviceID(k int) string { return fmt.Sprintf("pv-%d", k+1) }

// found makes the community: keys, certificates, a genesis with all devices, a
// specification for each process, and a forwarder for each link.
func (s *soak) found() ([]*forwarder, error) {
	members := make([]ledger.Member, 0, s.cfg.Devices+1)
	for k := range s.cfg.Devices + 1 {
		d, err := newDevice(deviceID(k))
		if err != nil {
			return nil, err
		}
		s.devices = append(s.devices, d)
		members = append(members, ledger.Member{
			ID: d.id, Site: site, Roles: []string{"seller"}, PublicKey: seal.FormatKey(d.public()), Simulated: true, MeterClassE4: 100,
		})
	}
	specs := mc.DefaultDAs(s.cfg.DAs, "127.0.0.1", 1)
	for i := range specs {
		address, err := s.address(i)
		if err != nil {
			return nil, err
		}
		specs[i].Address = address
	}
	params := ledger.DefaultParams().WithExcuses(ledger.ExcusesWitnessed) // and possession, as new communities have them
	params.Possession = true
	params.EpochBlocks = 40 // ends of epochs belong to what is tried
	var err error
	s.genesis, err = mc.InitDir(s.cfg.Dir, mc.Options{Name: "soak", DAs: specs, Centre: "mc-1", Members: members, Params: &params, BrokerHosts: s.brokerHosts(), Now: time.Now()})
	if err != nil {
		return nil, err
	}
	if s.authority, err = mc.OpenAuthority(s.cfg.Dir); err != nil {
		return nil, err
	}
	brokerCert, err := mc.ReadPair(filepath.Join(s.cfg.Dir, "broker", mc.TLSCertFile), filepath.Join(s.cfg.Dir, "broker", mc.TLSKeyFile))
	if err != nil {
		return nil, err
	}
	s.broker = grid.NewBroker(&tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{brokerCert}, ClientCAs: s.authority.Pool(), ClientAuth: tls.RequireAndVerifyClientCert,
	}, slog.New(slog.DiscardHandler))
	for _, d := range s.devices {
		s.broker.Admit(d.id, grid.RoleDevice)
	}
	return s.foundProcesses(specs)
}

func (s *soak) foundProcesses(specs []mc.DASpec) ([]*forwarder, error) {
	var forwarders []*forwarder
	for i, da := range specs {
		s.broker.Admit(da.ID, grid.RoleDA)
		p := &process{id: da.ID, dir: filepath.Join(s.cfg.Dir, da.ID), command: s.opts.Member, number: i, out: make(map[string]*forwarder)}
		p.spec = spec{ID: da.ID, Dir: filepath.Join(p.dir, "data"), Listen: da.Address, Through: make(map[string]string), Seed: s.cfg.Seed, Hostile: i == s.hostile()}
		for _, other := range specs {
			if other.ID == da.ID {
				continue
			}
			f, err := s.forward(i, other.Address)
			if err != nil {
				return nil, err
			}
			p.out[other.ID], p.spec.Through[other.Address] = f, f.address()
			forwarders = append(forwarders, f)
		}
		if s.spaces != nil {
			f, err := s.forward(i, "")
			if err != nil {
				return nil, err
			}
			p.broker = f
			forwarders = append(forwarders, f)
			p.command = s.spaces.within(i, p.command)
		}
		s.all = append(s.all, p)
	}
	return forwarders, nil
}

// hostile is which data aggregator lies.
func (s *soak) hostile() int { return int(s.cfg.Seed) % s.cfg.DAs }

// play runs processes, load and deeds, and ends them in that order.
func (s *soak) play(ctx context.Context) error {
	s.began = time.Now()
	s.watch = newWatch(s.began)
	for _, p := range s.all {
		p.spec.Broker = s.brokerOf(p)
		raw, err := json.Marshal(p.spec)
		if err == nil {
			err = os.WriteFile(filepath.Join(p.dir, specFile), raw, 0o600)
		}
		if err != nil {
			return fmt.Errorf("write spec: %w", err)
		}
		if err := p.start(); err != nil {
			return err
		}
	}
	if err := s.connect(); err != nil {
		return err
	}
	if !s.until(ctx, s.cfg.Settle, func(now time.Time) bool { return s.count(now) == 0 }) {
		return fmt.Errorf("the data aggregators do not vote %v after their start; see %s", s.cfg.Settle, s.cfg.Dir)
	}
	s.say("%d data aggregators vote; %d devices send %g records a second", len(s.all), s.cfg.Devices, s.cfg.Rate)
	loading, stopLoad := context.WithTimeout(ctx, s.cfg.For)
	defer stopLoad()
	over, watched := make(chan struct{}), make(chan struct{})
	s.began = time.Now()
	s.watch.begin(s.began)
	group, working := errgroup.WithContext(context.WithoutCancel(ctx))
	for _, d := range s.devices[:s.cfg.Devices] {
		group.Go(func() error {
			return d.run(loading, time.Duration(float64(time.Second)*float64(s.cfg.Devices)/s.cfg.Rate), over)
		})
	}
	vandalCtx, stopVandal := context.WithCancel(loading)
	defer stopVandal()
	group.Go(func() error { return s.vandal.run(vandalCtx) })
	go func() { defer close(watched); s.look(loading) }()
	deeds := s.deeds(loading)
	stopLoad()
	<-watched
	s.settle(working)
	close(over)
	err := errors.Join(deeds, group.Wait())
	for _, d := range s.devices {
		d.client.Disconnect(0)
	}
	return errors.Join(err, s.end())
}

// connect brings the devices to the broker.
func (s *soak) connect() error {
	keys, err := s.genesis.Keys()
	if err != nil {
		return err
	}
	for _, d := range s.devices {
		cert, err := s.authority.IssueTLS(d.id, mc.RoleAgent, nil, time.Now())
		if err != nil {
			return err
		}
		d.chain, d.das, d.enough, d.final = s.genesis.ChainID(), make(map[string]ed25519.PublicKey), s.cfg.faulty()+1, func(r *record, now time.Time) { s.watch.final(r.made, now) }
		for id, key := range keys {
			d.das[id] = key
		}
		if err := d.connect(s.broker.URL(), &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert}, RootCAs: s.authority.Pool()}); err != nil {
			return err
		}
	}
	last := len(s.devices) - 1
	s.devices[last].final = func(*record, time.Time) {}
	s.vandal = &vandal{device: s.devices[last], victim: s.devices[0], rages: make(chan bool)}
	return nil
}

// count is how many are faulty.
func (s *soak) count(now time.Time) (n int) {
	var newest uint64
	for _, p := range s.all {
		if w, up := p.status(now); up {
			newest = max(newest, w.Height)
		}
	}
	for _, p := range s.all {
		if p.faulty(now, newest) {
			n++
		}
	}
	return n
}

// until looks at what processes and brokers say until it is so. They tell no one when
// it is.
func (s *soak) until(ctx context.Context, most time.Duration, so func(now time.Time) bool) bool {
	every, end := time.NewTicker(lookEvery), time.NewTimer(most)
	defer every.Stop()
	defer end.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-end.C:
			return false
		case now := <-every.C:
			if so(now) {
				return true
			}
		}
	}
}

const (
	lookEvery = 50 * time.Millisecond
	tellEvery = 5 * time.Second
)

// look watches for standstills, and tells people now and then how it goes.
func (s *soak) look(ctx context.Context) {
	every := time.NewTicker(lookEvery)
	defer every.Stop()
	told := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-every.C:
			up := 0
			for _, p := range s.all {
				if p.started() {
					up++
				}
			}
			if up < s.cfg.DAs-s.cfg.faulty() {
				s.watch.excuse(now)
			}
			if now.Sub(told) >= tellEvery {
				told = now
				s.tell(now)
			}
		}
	}
}

func (s *soak) tell(now time.Time) {
	var newest word
	for _, p := range s.all {
		if w, up := p.status(now); up && w.Height > newest.Height {
			newest = w
		}
	}
	waiting := 0
	for _, d := range s.devices[:s.cfg.Devices] {
		waiting += d.open()
	}
	s.say("height %d, epoch %d, view %d of %s: %d records final, %d wait, %d faulty; nothing for %.1f s",
		newest.Height, newest.Epoch, newest.View, newest.Leader, s.watch.count(), waiting, s.count(now), s.watch.gap(now).Seconds())
}

// say writes a line with the time since the start.
func (s *soak) say(format string, args ...any) {
	at := time.Since(s.began)
	fmt.Fprintf(s.opts.Out, "%02d:%04.1f  %s\n", int(at.Minutes()), (at % time.Minute).Seconds(), fmt.Sprintf(format, args...))
}

// settle waits until every record is final and all data aggregators are at one height.
func (s *soak) settle(ctx context.Context) {
	begin := time.Now()
	waiting := func() (n int) {
		for _, d := range s.devices[:s.cfg.Devices] {
			n += d.open()
		}
		return n
	}
	one := func(now time.Time) bool {
		first, _ := s.all[0].status(now)
		for _, p := range s.all {
			if w, up := p.status(now); !up || !w.Voting || w.Height != first.Height {
				return false
			}
		}
		s.agreed = first.Height
		return true
	}
	if !s.until(ctx, s.cfg.Settle, func(now time.Time) bool { return waiting() == 0 && one(now) }) {
		s.report.breaks("after %v without deeds %d records are not final", s.cfg.Settle, waiting())
		for _, p := range s.all {
			w, up := p.status(time.Now())
			s.report.breaks("%s: up %v, voting %v, height %d, epoch %d, view %d %s", p.id, up, w.Voting, w.Height, w.Epoch, w.View, w.Following)
		}
	}
	s.report.SettledS = time.Since(begin).Seconds()
}

// end stops all processes in order.
func (s *soak) end() error {
	for _, p := range s.all {
		if err := p.signal(syscall.SIGTERM); err != nil {
			return err
		}
	}
	patience := time.NewTimer(time.Minute)
	defer patience.Stop()
	for _, p := range s.all {
		select {
		case <-p.ended:
			if code := p.cmd.ProcessState.ExitCode(); code != 0 {
				s.report.breaks("%s: asked to end, it ends with %d; see %s", p.id, code, filepath.Join(p.dir, "log.txt"))
			}
		case <-patience.C:
			s.report.breaks("%s: does not end a minute after it was asked to", p.id)
			if err := p.kill(); err != nil {
				return err
			}
		}
		s.report.Broken = append(s.report.Broken, p.died...)
	}
	return nil
}
