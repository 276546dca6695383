package console

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"fairwatt/aggregator/history"
	"fairwatt/proto/brief"
)

// An Archive is what is kept beside the snapshot: values over time, and what the chain
// says of one trade, participant or block. Its answers are made anew for each question.
type Archive interface {
	// Strips returns the last 24 hours of devices, named SITE/ID, in that order.
	Strips(names []string) ([]Strip, error)
	// Series returns what is known of a device over a span, one of Spans.
	Series(site, id, span string) (*Series, error)
	// Story returns what blocks below a height say of a subject (t/TRADE or
	// p/PARTICIPANT), newest first; before 0: of all blocks.
	Story(subject string, before uint64) (*Story, error)
	// Participant returns a participant with its money and credit.
	Participant(id string) (*Participant, bool)
	// Block returns a block with its records; false if there is none.
	Block(height uint64) (*BlockDetail, bool, error)
	// Search finds what a text may mean, best first.
	Search(text string) ([]Found, error)
	// Proof returns the proof of a record, as "aggregator chain prove" writes it; nil if the
	// record is not known.
	Proof(id string) ([]byte, error)
}

// Spans are the spans of time that a Series may have.
var Spans = []string{"day", "week", "month", "year"}

// MaxStrips is for how many devices one answer of /api/v1/strips is.
const MaxStrips = 60

// A Strip is one device's last 24 hours in cells of StepS seconds. Gate has a letter a
// cell: o open, c closed, m both, u not known, - nothing heard. A null is a cell in which
// nothing was measured.
type Strip struct {
	Site     string     `json:"site"`
	ID       string     `json:"id"`
	FromS    int64      `json:"from_s"` // Unix time of the first cell
	StepS    int64      `json:"step_s"`
	Gate     string     `json:"gate"`
	PowerW   []*float64 `json:"power_w"`
	GustMPS  []*float64 `json:"gust_mps"`
	EnergyWh float64    `json:"energy_wh"` // of the power measured
	OpenS    float64    `json:"open_s"`
	ClosedS  float64    `json:"closed_s"`
}

// A Series is one device over a span, a column a channel. Open is the share of the known
// time that the gate was open.
type Series struct {
	Site           string     `json:"site"`
	ID             string     `json:"id"`
	Span           string     `json:"span"`
	StepS          int64      `json:"step_s"`
	TimeS          []int64    `json:"time_s"`
	Open           []*float64 `json:"open"`
	PowerW         []*float64 `json:"power_w"`
	EnergyWh       []*float64 `json:"energy_wh"`
	WindMPS        []*float64 `json:"wind_mps"`
	GustMPS        []*float64 `json:"gust_mps"`
	TemperatureC   []*float64 `json:"temperature_c"`
	IrradianceWPM2 []*float64 `json:"irradiance_w_per_m2"`
}

// A Story is what blocks say of something, newest first. Next is the height to ask below
// for more; 0: no more is kept. Of blocks below KeptFrom nothing is kept here.
type Story struct {
	Entries  []history.Entry `json:"entries"`
	Next     uint64          `json:"next,omitempty"`
	KeptFrom uint64          `json:"kept_from,omitempty"`
}

// A Participant is one as the chain has it. Money is in millionths, credit in 1e-6.
type Participant struct {
	ID        string   `json:"id"`
	Site      string   `json:"site,omitempty"`
	Roles     []string `json:"roles"` // seller, buyer, centre, arbiter, aggregator
	Simulated bool     `json:"simulated"`
	Account   *Account `json:"account,omitempty"` // of sellers and buyers
	Offer     *Offer   `json:"offer,omitempty"`
	Membership
}

// A Membership is how a member stands: active, suspended or revoked, since which block
// and why, and the block that changed its key. It is empty of others.
type Membership struct {
	Standing       string `json:"standing,omitempty"`
	StandingHeight uint64 `json:"standing_height,omitempty"` // absent: from the beginning
	StandingReason string `json:"standing_reason,omitempty"`
	KeyHeight      uint64 `json:"key_height,omitempty"` // absent: it has the key that it was registered with
}

// An Account is a participant's money and standing.
type Account struct {
	WalletMicro   int64  `json:"wallet_micro"`
	BondMicro     int64  `json:"bond_micro"`
	LeavingMicro  int64  `json:"leaving_micro"`
	ExposureMicro int64  `json:"exposure_micro"` // promised in open trades
	LimitMicro    int64  `json:"limit_micro"`    // at most; negative: no limit
	FinesDueMicro int64  `json:"fines_due_micro"`
	CreditE6      int64  `json:"credit_e6"`
	Kept          uint64 `json:"kept"`
	Broken        uint64 `json:"broken"`
	GoodWh        int64  `json:"good_wh"`
	BadWh         int64  `json:"bad_wh"`
	Listed        bool   `json:"listed"` // may not trade
	ListedUntilMs int64  `json:"listed_until_ms,omitempty"`
}

// An Offer is what a seller asks now.
type Offer struct {
	VolumeWh         int64 `json:"volume_wh"`
	PriceMicroPerKWh int64 `json:"price_micro_per_kwh"`
	ExpiresMs        int64 `json:"expires_ms"`
}

// A BlockDetail is one block with all that it did.
type BlockDetail struct {
	Block
	Voters  []string        `json:"voters"`
	Entries []history.Entry `json:"entries"` // records first told, then what they did
	// Kept: what the block did is known here; else Entries are its records alone.
	Kept bool `json:"kept"`
}

// A Found is a place that a search found.
type Found struct {
	Kind string `json:"kind"` // generator, participant, trade, block, record
	ID   string `json:"id"`
	Site string `json:"site,omitempty"`
	Text string `json:"text,omitempty"`
}

// ErrNotKept is in the error of an [Archive] that cannot answer because what it would
// need is not kept here.
var ErrNotKept = errors.New("it is not kept here")

// archive adds the addresses of what is kept.
func (s *Server) archive() {
	s.mux.HandleFunc("GET /api/v1/strips", s.kept(strips))
	s.mux.HandleFunc("GET /api/v1/generators/{site}/{id}/history", s.kept(series))
	s.mux.HandleFunc("GET /api/v1/trades/{id}/story", s.kept(func(a Archive, r *http.Request) (any, error) { return story(a, r, "t/") }))
	s.mux.HandleFunc("GET /api/v1/participants/{id}/story", s.kept(func(a Archive, r *http.Request) (any, error) { return story(a, r, "p/") }))
	s.mux.HandleFunc("GET /api/v1/participants/{id}", s.kept(participant))
	s.mux.HandleFunc("GET /api/v1/blocks/{height}", s.kept(block))
	s.mux.HandleFunc("GET /api/v1/search", s.kept(search))
	s.mux.HandleFunc("GET /api/v1/records/{id}/proof", s.proof)
}

// A refusal is an error with an HTTP status.
type refusal struct {
	status int
	error
}

func refuse(status int, format string, args ...any) error {
	return refusal{status, fmt.Errorf(format, args...)}
}

func fail(w http.ResponseWriter, err error) {
	var r refusal
	switch {
	case errors.As(err, &r):
		problem(w, r.status, r.error)
	case errors.Is(err, ErrNotKept):
		problem(w, http.StatusNotFound, err)
	default:
		problem(w, http.StatusInternalServerError, err)
	}
}

func (s *Server) kept(of func(Archive, *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a := s.src.Archive()
		if a == nil {
			fail(w, refuse(http.StatusNotFound, "this data aggregator keeps no history"))
			return
		}
		v, err := of(a, r)
		if err != nil {
			fail(w, err)
			return
		}
		answer(w, v)
	}
}

func strips(a Archive, r *http.Request) (any, error) {
	names := r.URL.Query()["of"]
	if len(names) == 0 || len(names) > MaxStrips {
		return nil, refuse(http.StatusBadRequest, "of=SITE/ID is given %d times, want 1 to %d", len(names), MaxStrips)
	}
	for _, n := range names {
		if strings.Count(n, "/") != 1 {
			return nil, refuse(http.StatusBadRequest, "of=%s is not SITE/ID", brief.Quote(n))
		}
	}
	list, err := a.Strips(names)
	return struct {
		Strips []Strip `json:"strips"`
	}{list}, err
}

func series(a Archive, r *http.Request) (any, error) {
	span := r.URL.Query().Get("span")
	if span == "" {
		span = Spans[0]
	}
	if !slices.Contains(Spans, span) {
		return nil, refuse(http.StatusBadRequest, "span=%s is not one of %s", brief.Quote(span), strings.Join(Spans, ", "))
	}
	return a.Series(r.PathValue("site"), r.PathValue("id"), span)
}

func story(a Archive, r *http.Request, kind string) (any, error) {
	before := uint64(0)
	if text := r.URL.Query().Get("before"); text != "" {
		v, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return nil, refuse(http.StatusBadRequest, "before=%s is not a height", brief.Quote(text))
		}
		before = v
	}
	return a.Story(kind+r.PathValue("id"), before)
}

func participant(a Archive, r *http.Request) (any, error) {
	p, ok := a.Participant(r.PathValue("id"))
	if !ok {
		return nil, refuse(http.StatusNotFound, "no participant %s on this chain", brief.Quote(r.PathValue("id")))
	}
	return p, nil
}

func block(a Archive, r *http.Request) (any, error) {
	height, err := strconv.ParseUint(r.PathValue("height"), 10, 64)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "%s is not a height (1 is the first)", brief.Quote(r.PathValue("height")))
	}
	b, ok, err := a.Block(height)
	if err == nil && !ok {
		return nil, refuse(http.StatusNotFound, "no block %d on this chain yet", height)
	}
	return b, err
}

func search(a Archive, r *http.Request) (any, error) {
	q := strings.TrimSpace(r.URL.Query().Get("q"))
	if q == "" || len(q) > 100 {
		return nil, refuse(http.StatusBadRequest, "q=%s: want 1 to 100 characters", brief.Quote(q))
	}
	found, err := a.Search(q)
	if found == nil {
		found = []Found{}
	}
	return struct {
		Found []Found `json:"found"`
	}{found}, err
}

// proof answers with the bytes that "aggregator chain verify --proof" takes.
func (s *Server) proof(w http.ResponseWriter, r *http.Request) {
	id := strings.ToLower(r.PathValue("id"))
	a := s.src.Archive()
	if raw, err := hex.DecodeString(id); err != nil || len(raw) != 32 || a == nil {
		fail(w, refuse(http.StatusBadRequest, "record id %s is not 64 hexadecimal digits", brief.Quote(id)))
		return
	}
	proof, err := a.Proof(id)
	switch {
	case err != nil:
		fail(w, err)
	case proof == nil:
		fail(w, refuse(http.StatusNotFound, "no record %s is known here", brief.Quote(id)))
	default:
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Disposition", `attachment; filename="proof-`+id[:16]+`.json"`)
		_, _ = w.Write(proof) // the client is gone: no one is left to tell
	}
}
