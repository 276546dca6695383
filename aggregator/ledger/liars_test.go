package ledger_test

import (
	"fmt"
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

// A liar is a trader that plays the same game with honest members, one after the other,
// until it is barred or twelve rounds are over. Arbiters, where there are any, find what
// was true.
type liar struct {
	name, what string
	sells      bool
	// play plays one trade that is paid, and returns the energy that truly flowed and
	// whose fault it is that less flowed than was promised; unspecified for no one's.
	play func(*liarTown, *ledgertest.Deal) (soldWh int64, fault fairwattpb.Finding)
}

const noFault = fairwattpb.Finding_FINDING_UNSPECIFIED

var liars = []liar{
	{"no-start", "is paid and never starts", true, func(*liarTown, *ledgertest.Deal) (int64, fairwattpb.Finding) { return 0, noFault }},
	{"no-bill", "starts, delivers nothing, never bills", true, func(w *liarTown, d *ledgertest.Deal) (int64, fairwattpb.Finding) {
		w.do(d.Start())
		return 0, noFault
	}},
	{"tamper", "delivers nothing and invents its register", true, func(w *liarTown, d *ledgertest.Deal) (int64, fairwattpb.Finding) {
		w.delivers(d, d.VolumeWh, 0, 0)
		return 0, sellerLied
	}},
	{"tamper-half", "delivers half and invents the rest", true, func(w *liarTown, d *ledgertest.Deal) (int64, fairwattpb.Finding) {
		w.delivers(d, d.VolumeWh, 0, d.VolumeWh/2)
		return d.VolumeWh / 2, sellerLied
	}},
	{"skim", "bills two in a hundred more than it delivers", true, func(w *liarTown, d *ledgertest.Deal) (int64, fairwattpb.Finding) {
		w.delivers(d, d.VolumeWh, 0, d.VolumeWh*98/100)
		return d.VolumeWh * 98 / 100, noFault
	}},
	{"short", "delivers a half, and bills that", true, func(w *liarTown, d *ledgertest.Deal) (int64, fairwattpb.Finding) {
		w.delivers(d, d.VolumeWh/2, 0, d.VolumeWh/2)
		return d.VolumeWh / 2, noFault
	}},
	{"false-ready", "delivers nothing and says that it was ready", true, func(w *liarTown, d *ledgertest.Deal) (int64, fairwattpb.Finding) {
		w.delivers(d, 0, d.VolumeWh, 0)
		return 0, sellerLied
	}},
	{"on-off", "is honest in every other trade, and never starts in the rest", true, func(w *liarTown, d *ledgertest.Deal) (int64, fairwattpb.Finding) {
		if w.rounds%2 == 0 {
			return 0, noFault
		}
		w.delivers(d, d.VolumeWh, 0, d.VolumeWh)
		return d.VolumeWh, noFault
	}},
	{"hold-abuse", "closes its gate without a hazard, and bills nothing", true, func(w *liarTown, d *ledgertest.Deal) (int64, fairwattpb.Finding) {
		return w.holds(d)
	}},
	{"hold-often", "delivers every other trade, and closes its gate without a hazard in the rest", true, func(w *liarTown, d *ledgertest.Deal) (int64, fairwattpb.Finding) {
		return w.everyOther(d, func() {})
	}},
	{"own-witness", "the same, and a second name of its own bears it out", true, func(w *liarTown, d *ledgertest.Deal) (int64, fairwattpb.Finding) {
		return w.everyOther(d, func() {
			w.seq++
			w.must(secondName, closes(w.seq, "wind"))
		})
	}},
	{"false-warning", "the same, with warnings of its own, of another place, and that are over", true, func(w *liarTown, d *ledgertest.Deal) (int64, fairwattpb.Finding) {
		return w.everyOther(d, func() { w.warnFalsely() })
	}},
	{"silent-buyer", "takes the energy and reports nothing, ever", false, func(w *liarTown, d *ledgertest.Deal) (int64, fairwattpb.Finding) {
		w.do(d.Start())
		w.NowMs += 3_600_000
		w.do(d.Bill(d.VolumeWh, 0))
		return d.VolumeWh, noFault
	}},
	{"hiding-buyer", "takes everything and reports nothing of it", false, func(w *liarTown, d *ledgertest.Deal) (int64, fairwattpb.Finding) {
		w.delivers(d, d.VolumeWh, 0, 0)
		return d.VolumeWh, buyerLied
	}},
	{"refuse-to-take", "pays and draws nothing from a ready seller", false, func(w *liarTown, d *ledgertest.Deal) (int64, fairwattpb.Finding) {
		w.delivers(d, 0, d.VolumeWh, 0)
		return 0, buyerLied
	}},
	{"double-spend", "pays twice with one Token", false, func(w *liarTown, d *ledgertest.Deal) (int64, fairwattpb.Finding) {
		if err := d.PayAgain(); err == nil {
			w.t.Error("a Token paid twice")
		}
		w.delivers(d, d.VolumeWh, 0, d.VolumeWh)
		return d.VolumeWh, noFault
	}},
}

type liarTown struct {
	*world
	rounds int
	seq    uint64 // of the culprit's gate changes
}

// secondName is the culprit's, at its site: it sells nothing.
const secondName = "seller-4"

// holds starts a delivery, closes the gate by a gust that there was not, and bills nothing.
func (w *liarTown) holds(d *ledgertest.Deal) (int64, fairwattpb.Finding) {
	w.t.Helper()
	w.do(d.Start())
	w.seq++
	w.must(d.Seller, closes(w.seq, "wind"))
	w.do(d.Bill(0, 0))
	w.seq++
	w.must(d.Seller, gate(w.seq, open))
	return 0, noFault
}

// everyOther is honest in every other trade, and prepares a hold and holds in the rest.
func (w *liarTown) everyOther(d *ledgertest.Deal, prepare func()) (int64, fairwattpb.Finding) {
	w.t.Helper()
	if w.rounds%2 == 0 {
		w.delivers(d, d.VolumeWh, 0, d.VolumeWh)
		return d.VolumeWh, noFault
	}
	prepare()
	return w.holds(d)
}

// warnFalsely brings the warnings that are none for the culprit's site, where there are any.
func (w *liarTown) warnFalsely() {
	w.t.Helper()
	if w.Genesis.Params.Excuses != ledger.ExcusesWitnessed {
		return
	}
	now := w.State.TimeMs()
	w.must(mc, warned("ridge", "wind", now-1, now+3_600_000))
	if got := w.send(mc, warned("hill", "wind", now-7_200_000, now-3_600_000)); got != wire.CodeExpired {
		w.t.Errorf("a warning that is over: %q", got)
	}
	if _, err := w.State.CheckRecord(w.seal("seller-3", warned("hill", "wind", now-1, now+3_600_000))); code(err) != wire.CodeNotAllowed {
		w.t.Errorf("a member's own warning: %v", err)
	}
}

func (w *liarTown) do(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// delivers plays the delivery: what the seller bills and says was there, and what the
// buyer reports.
func (w *liarTown) delivers(d *ledgertest.Deal, billedWh, availableWh, reportedWh int64) {
	w.t.Helper()
	w.do(d.Start())
	w.NowMs += 3_600_000
	w.do(d.Bill(billedWh, availableWh))
	if t, _ := w.State.Trade(d.ID); t.Status == wire.StatusBilled {
		w.do(d.Confirm(reportedWh))
	}
}

// run plays a liar's game, and returns what it gained, the most that an honest member
// lost, and after how many trades it was barred.
func (l liar) run(t *testing.T, credit string) (gain, worst int64, rounds int, barred bool) {
	w := &liarTown{world: newWorld(t, func(g *ledger.Genesis) {
		*g = *ledgertest.Genesis(1, 4, 3)
		for i := range g.Members {
			if g.Members[i].ID == "seller-3" || g.Members[i].ID == secondName {
				g.Members[i].Site = "hill"
			}
		}
		if credit == ledger.CreditRobust {
			ledgertest.Robust(g)
			g.Params = g.Params.WithExcuses(ledger.ExcusesWitnessed)
		}
	}), seq: 1}
	robust := credit == ledger.CreditRobust
	begin, energy := make(map[string]int64), make(map[string]int64)
	for _, m := range w.Genesis.Members {
		w.must(mc, deposit(m.ID, 20_000_000, "d-"+m.ID))
		if robust {
			w.must(mc, bonded(m.ID, 5_000_000, "b-"+m.ID))
		}
		if m.Roles[0] == "seller" {
			w.must(m.ID, gate(1, open))
		}
		begin[m.ID] = w.worth(m.ID)
	}
	s, b := "seller-3", ""
	if !l.sells {
		s, b = "", "buyer-3"
	}
	culprit := s + b
	for w.rounds = range 12 {
		d := &ledgertest.Deal{Chain: w.Chain, ID: fmt.Sprintf("t-%d", w.rounds), Seller: s, Buyer: b, VolumeWh: 2000, PriceMicroPerKWh: 200_000}
		if l.sells {
			d.Buyer = fmt.Sprintf("buyer-%d", w.rounds%2+1)
		} else {
			d.Seller = fmt.Sprintf("seller-%d", w.rounds%2+1)
		}
		if err := d.Pay(); err != nil {
			barred = true
			break
		}
		rounds++
		sold, fault := l.play(w, d)
		energy[d.Seller] -= sold * worthOfWh
		energy[d.Buyer] += sold * worthOfWh
		for range 4 {
			w.wait(w.Genesis.Params.MaxTradeMs() / 3)
		}
		w.judge(d, fault)
	}
	if robust {
		w.wait(3 * w.Genesis.Params.VerdictMs)
	}
	w.wait(w.Genesis.Params.MaxStandingMs)
	for _, m := range w.Genesis.Members {
		got := w.worth(m.ID) + energy[m.ID] - begin[m.ID]
		if m.ID == culprit || m.ID == secondName {
			gain += got
		} else {
			worst = max(worst, -got)
		}
	}
	return gain, worst, rounds, barred
}

// judge has the honest side appeal where no case is open yet, and two arbiters find what
// was true.
func (w *liarTown) judge(d *ledgertest.Deal, fault fairwattpb.Finding) {
	if fault == noFault || len(w.Genesis.Arbiters) == 0 {
		return
	}
	t, _ := w.State.Trade(d.ID)
	if t.Judged {
		return
	}
	if t.GapMicro == 0 {
		honest := d.Buyer
		if fault == buyerLied {
			honest = d.Seller
		}
		w.must(honest, appeal(d.ID))
	}
	w.must("judge-1", verdict(d.ID, fault))
	w.must("judge-2", verdict(d.ID, fault))
}

// TestLiarsAmongHonestMembers: with robust credit and arbiters no culprit gains anything,
// and no honest member loses anything but time. It writes the table of docs/market.md
// (FAIRWATT_UPDATE=1).
func TestLiarsAmongHonestMembers(t *testing.T) {
	rows := "| culprit | what it does | credit `paper`: it gains, an honest member loses | credit `robust`: it gains, an honest member loses |\n| --- | --- | --- | --- |\n"
	after := func(rounds int, barred bool) string {
		if barred {
			return fmt.Sprintf("barred after %d", rounds)
		}
		return fmt.Sprintf("%d trades", rounds)
	}
	for _, l := range liars {
		t.Run(l.name, func(t *testing.T) {
			gain, worst, rounds, barred := l.run(t, ledger.CreditPaper)
			row := fmt.Sprintf("| %s | %s | %s, %s (%s) |", l.name, l.what, units(gain), units(worst), after(rounds, barred))
			if gain, worst, rounds, barred = l.run(t, ledger.CreditRobust); gain > 0 || worst > 0 {
				t.Errorf("gains %d, an honest member loses %d", gain, worst)
			}
			rows += row + fmt.Sprintf(" %s, %s (%s) |\n", units(gain), units(worst), after(rounds, barred))
		})
	}
	writeSection(t, marketFile, "liars", rows)
}
