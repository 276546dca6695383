package main

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/mc"
	"fairwatt/aggregator/peer"
	"fairwatt/aggregator/wct"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

func mcCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "mc",
		Short: "Run and use the management centre",
		Long: `Run and use the management centre: start a community, issue certificates,
admit participants, credit wallets, answer requests.`,
		Example: "  aggregator mc init --dir community --das 4",
		Args:    noArgs,
		RunE:    helpOnly,
	}
	cmd.AddCommand(mcInitCommand(), mcRunCommand(), mcRegisterCommand(), mcMeterCommand(), mcDepositCommand(), mcReverseCommand(), mcPayoutCommand(), mcWarnCommand(), mcShareCommand(), mcIssueCommand(), mcRevokeCommand(), mcSuspendCommand(), mcReinstateCommand(), mcChangeCommand(), mcReleaseCommand(), mcRenewCommand(),
		mcAdmitCommand(), mcRetireCommand(), mcRekeyCommand(), mcMoveCommand())
	return cmd
}

func mcInitCommand() *cobra.Command {
	var dir, name, host, overheads, tree, settlement, credit, answers, excuses, state, broker string
	var arbiters, auditors []string
	var loss float64
	var epoch time.Duration
	var das, port int
	var brokerHosts []string
	var asJSON, possession bool
	var slots slotFlags
	cmd := &cobra.Command{
		Use:   "init --dir DIR",
		Short: "Start a community: certificate authority, genesis, keys",
		Long: `Start a community in a new folder: the certificate authority, genesis.json, and
a folder with keys, certificate and configuration for each data aggregator, the
management centre and the MQTT broker.

The folders are to be moved to the machines they are for; ca.key is to be kept
away from all of them. Nothing that exists is overwritten. The chain's id is the
hash of genesis.json: give that file to everyone who is to check the chain.`,
		Example: `  aggregator mc init --dir community
  aggregator mc init --dir community --name "Harbour street" --das 7 --host das.example.org --broker-host mqtt.example.org
  aggregator mc init --dir community --mechanism auction --slot-time 15m --gate-closure 5m --slot-readings 10m`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" {
				return usagef("--dir DIR is required")
			}
			if das < 4 || das > ledger.MaxDAs {
				return usagef("--das %d: 4 to %d; four are needed to bear one that fails", das, ledger.MaxDAs)
			}
			credit, answers, excuses = paperRules(cmd, settlement, credit, answers, excuses)
			params, err := initParams(tree, settlement, credit, answers, excuses, loss, possession)
			if err != nil {
				return err
			}
			if params.EpochMs, err = epochMs(epoch); err != nil {
				return err
			}
			options := mc.Options{Name: name, DAs: mc.DefaultDAs(das, host, port), Centre: "mc-1",
				Params: &params, Broker: broker, BrokerHosts: brokerHosts, StateDir: state, Now: time.Now()}
			if err := errors.Join(slots.apply(cmd, &params), checkPlaces(broker, state)); err != nil {
				return err
			}
			options.Arbiters, options.Money = judges(arbiters), moneyUnder(auditors)
			if overheads != "" {
				if options.OverheadUs, err = readOverheads(overheads, das); err != nil {
					return err
				}
			}
			g, err := mc.InitDir(dir, options)
			if err != nil {
				return err
			}
			return printInit(cmd.OutOrStdout(), dir, g, asJSON)
		},
	}
	f := cmd.Flags()
	f.StringVar(&dir, "dir", "", "folder to write, new or without a genesis")
	f.StringVar(&name, "name", "fairwatt community", "name of the community, for people")
	f.IntVar(&das, "das", 4, "number of data aggregators")
	f.StringVar(&host, "host", "127.0.0.1", "host at which the aggregators reach each other")
	f.IntVar(&port, "port", 7051, "port of the first aggregator, the others' rise from it")
	f.StringSliceVar(&brokerHosts, "broker-host", nil, "further name or address of the broker (repeatable); with --broker nats the three hosts of its servers")
	f.StringVar(&broker, "broker", mc.BrokerMosquitto, "broker to write files for: mosquitto (one server) or nats (three NATS servers, of which one may fail)")
	f.StringVar(&state, "state", "", "folder in which the machines keep what their programs write, such as /var/lib/fairwatt for the packages; empty: next to each configuration")
	f.StringVar(&overheads, "overheads", "", "file with the measured overheads between the aggregators: a JSON list of rows, microseconds from row to column")
	f.StringVar(&tree, "tree", string(wct.OCT), "tree that blocks go down: oct (aware of the overheads) or wct (the paper's)")
	f.DurationVar(&epoch, "epoch-time", 24*time.Hour, "how long an epoch of few blocks lasts: then reports count, the tree is built anew, and who waits joins; 0 to end epochs by blocks alone")
	f.StringVar(&settlement, "settlement", ledger.SettleByMeters, "what decides what is paid: meters (both meters and the gate) or paper (the paper's: the buyer's word)")
	f.StringVar(&credit, "credit", ledger.CreditRobust, "what makes credit: robust (bonds, fines, verdicts) or paper (the paper's formula)")
	f.StringVar(&answers, "answers", ledger.AnswersByLedger, "who finds the sellers that a buyer can choose from: centre, or ledger (every data aggregator finds the same)")
	f.StringVar(&excuses, "excuses", ledger.ExcusesWitnessed, "what excuses a gate that closed, with --credit robust: witnessed (a neighbour, a warning, or a quota of energy), or quota_of_holds")
	slots.add(cmd)
	f.StringSliceVar(&arbiters, "arbiter", nil, "ID=KEY of an arbiter, who decides where meters differ; two decide together (repeatable)")
	f.StringSliceVar(&auditors, "auditor", nil, "ID=KEY of an auditor, without whose approval no money comes in or goes out (repeatable; market key makes a key)")
	f.BoolVar(&possession, "possession", true, "register only members whose keys show that their holders agree (mc register --enrolment)")
	f.Float64Var(&loss, "line-loss", 0, "what a line loses between the two meters of a trade, in per cent")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// checkPlaces tells whether files can be written for a broker and for where programs
// keep theirs.
func checkPlaces(broker, state string) error {
	if broker != mc.BrokerMosquitto && broker != mc.BrokerNATS {
		return usagef("--broker %q: %s (one server) or %s (three that are one broker)", broker, mc.BrokerMosquitto, mc.BrokerNATS)
	}
	if state != "" && !filepath.IsAbs(state) {
		return usagef("--state %q: an absolute path, such as /var/lib/fairwatt", state)
	}
	return nil
}

// epochMs is the longest time of an epoch as the genesis has it.
func epochMs(d time.Duration) (int64, error) {
	if d != 0 && (d < time.Minute || d > 366*24*time.Hour) {
		return 0, usagef("--epoch-time %s: 1m to 8784h (366 days), or 0 to end epochs by blocks alone", d)
	}
	return d.Milliseconds(), nil
}

// paperRules are the rules that go with a settlement where no other are asked for: the
// paper's has no meters to fine by, its centre answers, and its credit has no excuses by
// the Wh.
func paperRules(cmd *cobra.Command, settlement, credit, answers, excuses string) (string, string, string) {
	if settlement == ledger.SettleByPaper && !cmd.Flags().Changed("credit") {
		credit = ledger.CreditPaper
	}
	if settlement == ledger.SettleByPaper && !cmd.Flags().Changed("answers") {
		answers = ledger.AnswersByCentre
	}
	if credit == ledger.CreditPaper && !cmd.Flags().Changed("excuses") {
		excuses = ledger.ExcusesFirst
	}
	return credit, answers, excuses
}

// initParams are the rules of a new chain.
func initParams(tree, settlement, credit, answers, excuses string, lossPercent float64, possession bool) (ledger.Params, error) {
	params := ledger.DefaultParams()
	if settlement == ledger.SettleFirst || lossPercent < 0 || lossPercent > 50 {
		return params, usagef("--settlement %q: %s or %s; --line-loss %v: 0 to 50", settlement, ledger.SettleByMeters, ledger.SettleByPaper, lossPercent)
	}
	if credit != ledger.CreditRobust && credit != ledger.CreditPaper {
		return params, usagef("--credit %q: %s or %s", credit, ledger.CreditRobust, ledger.CreditPaper)
	}
	params.Tree, params.Settlement, params.LossE4, params.Possession = tree, settlement, int64(lossPercent*100+0.5), possession
	switch {
	case answers == ledger.AnswersByCentre:
		answers = ledger.AnswersFirst
	case answers != ledger.AnswersByLedger:
		return params, usagef("--answers %q: %s or %s", answers, ledger.AnswersByLedger, ledger.AnswersByCentre)
	case settlement != ledger.SettleByMeters:
		return params, usagef("--answers %s needs --settlement %s", answers, ledger.SettleByMeters)
	}
	params = params.WithCredit(credit).WithAnswers(answers)
	switch {
	case excuses == "":
		return params, nil
	case credit != ledger.CreditRobust || excuses != ledger.ExcusesByHolds && excuses != ledger.ExcusesWitnessed:
		return params, usagef("--excuses %.60q: %s or %s, with --credit %s", excuses, ledger.ExcusesByHolds, ledger.ExcusesWitnessed, ledger.CreditRobust)
	}
	return params.WithExcuses(excuses), nil
}

// moneyUnder are the rules of money that auditors approve, nil without auditors.
func moneyUnder(auditors []string) *ledger.Money {
	if len(auditors) == 0 {
		return nil
	}
	money := ledger.DefaultMoney()
	money.Auditors = judges(auditors)
	return &money
}

// judges reads arbiters or auditors, each an ID=KEY.
func judges(words []string) (out []ledger.Arbiter) {
	for _, a := range words {
		id, key, _ := strings.Cut(a, "=")
		out = append(out, ledger.Arbiter{ID: id, PublicKey: seal.PublicKey(key)})
	}
	return out
}

// readOverheads reads w(i,j) of n aggregators. What the numbers may be is the
// genesis' to say.
func readOverheads(file string, n int) ([][]int64, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("open overheads: %w", err)
	}
	defer f.Close() // read only: nothing to lose
	const most = 16 << 20
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, fmt.Errorf("read overheads: %w", err)
	}
	if len(b) > most {
		return nil, fmt.Errorf("overheads %s: more than %d bytes", file, most)
	}
	var w [][]int64
	if err := json.Unmarshal(b, &w); err != nil {
		return nil, fmt.Errorf("overheads %s: want rows such as [[0,1500],[1500,0]], in microseconds: %w", file, err)
	}
	if len(w) != n {
		return nil, fmt.Errorf("overheads %s: %d rows for %d aggregators (--das)", file, len(w), n)
	}
	return w, nil
}

func printInit(w io.Writer, dir string, g *ledger.Genesis, asJSON bool) error {
	id := g.ChainID()
	if asJSON {
		var das []string
		for _, da := range g.Aggregators {
			das = append(das, da.ID)
		}
		return json.NewEncoder(w).Encode(map[string]any{"dir": dir, "chain_id": fmt.Sprintf("%x", id), "name": g.Name, "das": das,
			"mc": g.Centres[0].ID})
	}
	_, err := fmt.Fprintf(w, "chain    %x\ngenesis  %s\nmembers  %d data aggregators, centre %s\nnext     keep %s away from the machines that run\n",
		id, filepath.Join(dir, mc.GenesisFile), len(g.Aggregators), g.Centres[0].ID, filepath.Join(dir, mc.CAKeyFile))
	return err
}

// openCentre makes the centre of a configuration with links to all aggregators.
func openCentre(c mcConfig, log *slog.Logger, alive func()) (*mc.Centre, func() error, error) {
	g, err := mc.ReadGenesis(c.Genesis)
	if err != nil {
		return nil, nil, err
	}
	key, err := mc.ReadKey(c.SealKey)
	if err != nil {
		return nil, nil, err
	}
	pair, pool, err := c.TLS.read(log)
	if err != nil {
		return nil, nil, err
	}
	dial := func(da ledger.DA) (mc.Chain, error) {
		conf := peerTLS(pair, pool)
		conf.ServerName = da.ID
		return peer.Dial(da.Address, conf)
	}
	centre, err := mc.NewCentre(mc.CentreConfig{ID: c.ID, Key: key, Genesis: g, Dial: dial, CounterFile: c.Counter,
		Simulated: c.Simulated, Joins: c.Join, Alive: alive, Logger: log})
	if err != nil {
		return nil, nil, err
	}
	return centre, centre.Close, nil
}

func mcRunCommand() *cobra.Command {
	var config string
	cmd := &cobra.Command{
		Use:   "run --config FILE",
		Short: "Answer the chain's requests until interrupted",
		Long: `Follow the chain and answer each request with the sellers to choose from and a
Token with the buyer's escrow, until interrupted. It keeps no state but a
record counter and may be stopped and started at any moment.`,
		Example: "  aggregator mc run --config community/mc-1/mc.yaml",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var c mcConfig
			if err := readConfig(config, &c); err != nil {
				return err
			}
			log, err := logger(cmd, c.LogLevel)
			if err != nil {
				return err
			}
			defer log.reloadOnHangup(cmd.Context(), func() (string, error) {
				var next mcConfig
				err := readConfig(config, &next)
				return next.LogLevel, err
			})()
			unit, err := newService(os.Getenv, log.Logger)
			if err != nil {
				return err
			}
			centre, closeAll, err := openCentre(c, log.Logger, unit.alive)
			if err != nil {
				return err
			}
			defer unit.watchStop(cmd.Context())()
			log.Info("management centre", "mc", c.ID)
			return errors.Join(centre.Run(cmd.Context()), closeAll())
		},
	}
	cmd.Flags().StringVar(&config, "config", "", "configuration file (YAML)")
	return cmd
}

func mcRegisterCommand() *cobra.Command {
	var centre centreFlags
	var id, site, key, enrolment string
	var roles, meterNames []string
	var class float64
	var rated int64
	var simulated bool
	cmd := &cobra.Command{
		Use:   "register --config FILE --site SITE (--enrolment FILE | --id ID --role seller|buyer --key KEY)",
		Short: "Admit a participant to the chain",
		Long: `Admit a participant: put its id, site, roles and public key on the chain, and
return when it stands there. The id is a pseudonym; who is behind it does not
go on the chain. --meter registers its meters too, without which it cannot trade: by
its name in the agent's configuration, and with what its register shows now (agent
check prints it), for a reading that rises faster than --rated-w allows is refused.

--enrolment is what agent enroll --genesis has written on the device: id, roles, key and
the hashes of a recovery key and a bank account, with the key's own word that it agrees.
A chain takes no other registration, unless it was started with mc init --possession=false.`,
		Example: `  aggregator mc register --config community/mc-1/mc.yaml --enrolment pv-1.json --site harbour --meter sold
  aggregator mc register --config community/mc-1/mc.yaml --id pv-1 --site harbour --role seller --meter sold --key ed25519:AAAA...=`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r := &fairwattpb.Registration{}
			if enrolment != "" {
				if id+key != "" || len(roles) > 0 {
					return usagef("--enrolment says --id, --role and --key: leave them out")
				}
				form, err := readEnrolment(centre.config, enrolment)
				if err != nil {
					return err
				}
				id, key, roles = form.ID, string(form.PublicKey), form.Roles
				r.Possession, r.RecoveryHash, r.PayeeHash = form.Possession, form.RecoveryHash, form.PayeeHash
			}
			r.Id, r.Site, r.PublicKey, r.Simulated, r.MeterClassE4 = id, site, strings.TrimSpace(key), simulated, uint32(class*100+0.5)
			r.Roles = rolesOf(roles)
			switch {
			case id == "" || site == "" || key == "":
				return usagef("--id, --site and --key are required")
			case len(roles) == 0 || len(r.Roles) != len(roles):
				return usagef("--role %s: seller, buyer or both", strings.Join(roles, ","))
			case class <= 0 || class > 5:
				return usagef("--meter-class %v: above 0, at most 5", class)
			}
			if _, err := seal.ParseKey(r.GetPublicKey()); err != nil {
				return usagef("--key: %w", err)
			}
			meters, err := metersOf(r, meterNames, rated)
			if err != nil {
				return err
			}
			return centre.run(cmd, func(ctx context.Context, c *mc.Centre) error {
				if err := c.Register(ctx, r); err != nil {
					return err
				}
				for _, m := range meters {
					if err := c.RegisterMeter(ctx, m); err != nil {
						return fmt.Errorf("%s is registered, but: %w (try again with mc meter add)", r.GetId(), err)
					}
				}
				return nil
			})
		},
	}
	centre.add(cmd)
	f := cmd.Flags()
	f.StringVar(&id, "id", "", "the participant's id: a-z, 0-9, -")
	f.StringVar(&enrolment, "enrolment", "", "the file that agent enroll --genesis wrote")
	f.StringVar(&site, "site", "", "its site, as in its MQTT topics")
	f.StringSliceVar(&roles, "role", nil, "seller, buyer (repeatable)")
	f.StringVar(&key, "key", "", "its public key, ed25519:...")
	f.Float64Var(&class, "meter-class", 1, "accuracy class of its meter, in per cent")
	f.StringSliceVar(&meterNames, "meter", nil, "NAME of a meter in its agent's configuration, NAME=WH where its register does not stand at 0; on the chain it is ID-NAME (repeatable)")
	f.Int64Var(&rated, "rated-w", 25_000, "the most that the meters' branches carry, in W")
	f.BoolVar(&simulated, "simulated", false, "its values come from a simulation")
	return cmd
}

func mcDepositCommand() *cobra.Command {
	var centre centreFlags
	var to, amount, reference string
	var bond bool
	cmd := &cobra.Command{
		Use:   "deposit --config FILE --to ID --amount AMOUNT --reference TEXT",
		Short: "Credit a participant's wallet",
		Long: `Credit a wallet with money that was received, and return when the chain has it.
The reference of the payment keeps it from being credited twice.

With --bond the money goes into the participant's bond, which stands for what it
promises: without one, no one trades on a chain with robust credit. A newcomer may
promise twice its bond in open trades.`,
		Example: `  aggregator mc deposit --config community/mc-1/mc.yaml --to house-1 --amount 25.50 --reference bank-2041
  aggregator mc deposit --config community/mc-1/mc.yaml --to pv-1 --amount 20 --reference bank-2042 --bond`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if to == "" || reference == "" {
				return usagef("--to and --reference are required")
			}
			micro, err := wire.ParseMoney(amount)
			if err != nil {
				return usagef("--amount: %w", err)
			}
			d := &fairwattpb.Deposit{To: to, AmountMicro: micro, Reference: reference, Bond: bond}
			return centre.run(cmd, func(ctx context.Context, c *mc.Centre) error { return c.Deposit(ctx, d) })
		},
	}
	centre.add(cmd)
	f := cmd.Flags()
	f.StringVar(&to, "to", "", "whose wallet")
	f.StringVar(&amount, "amount", "", "amount in currency units, up to six decimals")
	f.StringVar(&reference, "reference", "", "reference of the payment, used once")
	f.BoolVar(&bond, "bond", false, "into the bond instead of the wallet")
	return cmd
}

func mcIssueCommand() *cobra.Command {
	var dir, id, role, csr, out, site string
	var hosts []string
	cmd := &cobra.Command{
		Use:   "issue --dir DIR --id ID --role agent --out OUT",
		Short: "Issue a certificate for connections",
		Long: `Issue a certificate for connections, valid for ten to twelve months, as tls.key, tls.crt and
ca.crt in the folder OUT. With --csr the TLS key stays with its holder, and OUT
is the certificate's file.

A viewer reads what the devices show, of one site (--site) or of all, and writes
nothing: a person's agent monitor, Home Assistant, Grafana.

A warner writes official warnings of the weather to topics below met/, which
devices read (warnings in the agent's configuration), and nothing else.

An owner may send commands to the devices of one site (--site), which check that
they are sealed with a key of theirs (agent owner-key). An owner's, a viewer's and a
warner's lines are added to broker/acl in DIR: copy that to the broker and have it read it
again (SIGHUP). Their ids must be no device's. The list of NATS servers
(broker/nats-users.conf) names each device too, and is changed for all of them.

The key that signs records is another one: an agent makes it itself (agent
enroll), and its public half goes on the chain by mc register.`,
		Example: `  aggregator mc issue --dir community --id pv-1 --role agent --out pv-1
  aggregator mc issue --dir community --id pv-1 --role agent --csr pv-1.csr --out pv-1.crt
  aggregator mc issue --dir community --id ada --role owner --site harbour --out ada
  aggregator mc issue --dir community --id ha-1 --role viewer --out ha-1
  aggregator mc issue --dir community --id met-1 --role warner --out met-1`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" || id == "" || role == "" || out == "" {
				return usagef("--dir, --id, --role and --out are required")
			}
			if err := checkRole(dir, id, mc.Role(role)); err != nil {
				return err
			}
			admit, err := admitOf(mc.Role(role), site)
			if err != nil {
				return err
			}
			authority, err := mc.OpenAuthority(dir)
			if err != nil {
				return err
			}
			if csr != "" {
				err = signRequest(authority, csr, id, mc.Role(role), hosts, out)
			} else {
				err = mc.IssueDir(authority, out, id, mc.Role(role), hosts, time.Now())
			}
			if err != nil || admit == nil {
				return err
			}
			if err := admit(dir, id, site); err != nil {
				return err
			}
			if list := mc.BrokerList(dir); mc.Role(role) != mc.RoleAgent || filepath.Base(list) == mc.NATSUsersFile {
				_, err = fmt.Fprintf(cmd.ErrOrStderr(), "%s names %s now: have the broker read it again\n", list, id)
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&dir, "dir", "", "the community's folder, with ca.key")
	f.StringVar(&id, "id", "", "the holder's id: a-z, 0-9, -")
	f.StringVar(&role, "role", "", "agent, owner, viewer, warner, broker, da or mc")
	f.StringVar(&site, "site", "", "the site whose devices an owner speaks to, or a viewer reads")
	f.StringVar(&csr, "csr", "", "certificate request (PEM) of a holder that made its own key")
	f.StringVar(&out, "out", "", "folder, or with --csr file, to write")
	f.StringSliceVar(&hosts, "host", nil, "name or address under which a server is reached (repeatable)")
	return cmd
}

// admitOf returns what adds a holder to the broker's access list; nil for a role that
// no list names.
func admitOf(role mc.Role, site string) (func(dir, id, site string) error, error) {
	switch {
	case role == mc.RoleViewer:
		return mc.AdmitViewer, nil
	case role == mc.RoleWarner && site == "":
		return func(dir, id, _ string) error { return mc.AdmitWarner(dir, id) }, nil
	case role == mc.RoleOwner && site != "":
		return mc.AdmitOwner, nil
	case role == mc.RoleAgent && site == "":
		return func(dir, id, _ string) error { return mc.AdmitDevice(dir, id) }, nil
	case role == mc.RoleOwner || site != "":
		return nil, usagef("--site goes with --role owner, which needs it, and --role viewer")
	}
	return nil, nil
}

// checkRole keeps the ids of aggregators and centres from being certified for
// anything else: on the links the common name says who it is.
func checkRole(dir, id string, role mc.Role) error {
	g, err := mc.ReadGenesis(filepath.Join(dir, mc.GenesisFile))
	if err != nil {
		return err
	}
	want := mc.Role("")
	for _, da := range g.Aggregators {
		if da.ID == id {
			want = mc.RoleDA
		}
	}
	for _, c := range g.Centres {
		if c.ID == id {
			want = mc.RoleMC
		}
	}
	if want != "" && role != want {
		return fmt.Errorf("%s is a %s in the genesis and gets no certificate as %s", id, want, role)
	}
	if want == "" && (role == mc.RoleDA || role == mc.RoleMC) {
		return fmt.Errorf("the genesis names no %s %q", role, id)
	}
	return nil
}

func signRequest(a *mc.Authority, file, id string, role mc.Role, hosts []string, out string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read certificate request: %w", err)
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != "CERTIFICATE REQUEST" {
		return fmt.Errorf("%s holds no PEM certificate request", file)
	}
	cert, err := a.SignRequest(block.Bytes, id, role, hosts, time.Now())
	if err != nil {
		return err
	}
	if _, ok := cert.PublicKey.(ed25519.PublicKey); !ok {
		return fmt.Errorf("the request's key is a %T, not ed25519", cert.PublicKey)
	}
	return mc.WriteCertificate(out, cert)
}
