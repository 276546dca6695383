package wire_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// A topic that was built reads back as its parts, and builds the same text.
func TestTopicRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.StringMatching(`[a-z0-9-]{1,64}`)
		want := wire.Topic{
			Topics: wire.Topics{Site: id.Draw(t, "site"), Device: id.Draw(t, "device")},
			Class: rapid.SampledFrom([]string{
				wire.ClassStatus, wire.ClassInfo, wire.ClassGate, wire.ClassHazard + "wind", wire.ClassAlert, wire.ClassAlertCAP,
				wire.ClassTelemetry, wire.ClassTrade, wire.ClassRecord, wire.ClassReceipt + "da-1", wire.ClassBlock, wire.ClassResult,
			}).Draw(t, "class"),
		}
		got, err := wire.ParseTopic(want.String())
		if err != nil || got != want {
			t.Fatalf("%s reads as %+v, %v", want, got, err)
		}
		if got.String() != want.String() || got.Of(got.Class) != want.String() {
			t.Fatalf("%s is written again as %s", want, got)
		}
	})
}

// The topics that programs of either side, brokers and owners' scripts know.
func TestTopics(t *testing.T) {
	pv := wire.Topics{Site: "farm-1", Device: "pv-1"}
	for got, want := range map[string]string{
		pv.Of(wire.ClassGate):              "fairwatt/v1/farm-1/pv-1/gate",
		pv.Of(wire.ClassHazard + "wind"):   "fairwatt/v1/farm-1/pv-1/hazard/wind",
		pv.Of(wire.ClassRecord):            "fairwatt/v1/farm-1/pv-1/up/record",
		pv.Receipt("da-1"):                 "fairwatt/v1/farm-1/pv-1/down/receipt/da-1",
		pv.Receipt("+"):                    "fairwatt/v1/farm-1/pv-1/down/receipt/+",
		wire.StatusOfDA("da-1"):            "fairwatt/v1/da/da-1/status",
		wire.ListOfDA("da-1"):              "fairwatt/v1/da/da-1/list",
		wire.EveryDevice(wire.ClassRecord): "fairwatt/v1/+/+/up/record",
		wire.EveryDevice("#"):              "fairwatt/v1/+/+/#",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestParseTopicRefuses(t *testing.T) {
	for _, s := range []string{
		"", "fairwatt", "fairwatt/v1/", "fairwatt/v2/farm/pv/gate", "fairwatt/v1/farm", "fairwatt/v1/farm/pv",
		"fairwatt/v1//pv/gate", "fairwatt/v1/farm//gate", "fairwatt/v1/Farm/pv/gate", "fairwatt/v1/farm/p_v/gate",
		"fairwatt/v1/+/pv/gate", "fairwatt/v1/farm/#/gate", "/fairwatt/v1/farm/pv/gate",
		"fairwatt/v1/farm/" + strings.Repeat("p", seal.MaxNameBytes+1) + "/gate",
	} {
		if topic, err := wire.ParseTopic(s); err == nil {
			t.Errorf("%q is read as %+v", s, topic)
		} else if len(err.Error()) > 300 {
			t.Errorf("%q: an error of %d bytes", s, len(err.Error()))
		}
	}
}

// Whatever is read is written back as it was, and its ids are safe to show.
func FuzzParseTopic(f *testing.F) {
	for _, s := range []string{"fairwatt/v1/farm-1/pv-1/gate", "fairwatt/v1/da/da-1/status", "fairwatt/v1/a/b/", "fairwatt/v1/a/b/c/d", "x", "fairwatt/v1/<b>/b/c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		topic, err := wire.ParseTopic(s)
		if err != nil {
			return
		}
		if topic.String() != s {
			t.Errorf("%q is written back as %q", s, topic)
		}
		for _, id := range []string{topic.Site, topic.Device} {
			if !seal.ValidName(id) {
				t.Errorf("%q gives the id %q", s, id)
			}
		}
	})
}

func TestQuorum(t *testing.T) {
	for _, c := range []struct{ n, faulty, quorum, vouchers int }{
		{1, 0, 1, 1}, {2, 0, 2, 1}, {3, 0, 2, 1}, {4, 1, 3, 2}, {5, 1, 4, 2}, {6, 1, 4, 2}, {7, 2, 5, 3},
		{10, 3, 7, 4}, {13, 4, 9, 5}, {16, 5, 11, 6}, {100, 33, 67, 34}, {200, 66, 134, 67},
	} {
		if f, q, v := wire.Faulty(c.n), wire.Quorum(c.n), wire.Vouchers(c.n); f != c.faulty || q != c.quorum || v != c.vouchers {
			t.Errorf("of %d: faulty %d, quorum %d, vouchers %d; want %d, %d, %d", c.n, f, q, v, c.faulty, c.quorum, c.vouchers)
		}
	}
	// Two quorums share an honest member, and the honest members alone are one.
	for n := 1; n <= 300; n++ {
		f, q := wire.Faulty(n), wire.Quorum(n)
		if 2*q-n < f+1 || q > n-f {
			t.Errorf("of %d: quorum %d with %d faulty", n, q, f)
		}
	}
}

// A vote states three hashes, in this order.
func TestVotePayload(t *testing.T) {
	header, meta, aux := sha256.Sum256([]byte("header")), sha256.Sum256([]byte("metadata")), sha256.Sum256([]byte("aux"))
	want := append(append(bytes.Clone(header[:]), meta[:]...), aux[:]...)
	if got := wire.VotePayload(header, []byte("metadata"), []byte("aux")); !bytes.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
	none := sha256.Sum256(nil)
	if got := wire.VotePayload(header, nil, nil); !bytes.Equal(got[32:], append(bytes.Clone(none[:]), none[:]...)) {
		t.Errorf("without metadata: %x", got)
	}
}

// Votes of one round are counted together, and of no two. The agreement's own auxiliary
// data has no round.
func TestRoundsOfVotes(t *testing.T) {
	prepares := []byte{0x0a, 3, 1, 2, 3} // a list of members in field 1
	for _, round := range []uint64{1, 2, 127, 128, 1 << 40} {
		if got := wire.VoteRound(wire.RoundAux(round)); got != round {
			t.Errorf("round %d: read as %d", round, got)
		}
	}
	two := append(wire.RoundAux(1), wire.RoundAux(2)...)
	for _, aux := range [][]byte{nil, {}, prepares, {15 << 3}, {15<<3 | 2, 1, 1}, append(wire.RoundAux(3), 0), two, append(bytes.Clone(prepares), wire.RoundAux(3)...)} {
		if got := wire.VoteRound(aux); got != 0 {
			t.Errorf("%x: round %d, want none", aux, got)
		}
	}
	a, b := wire.RoundAux(1), wire.RoundAux(2)
	for name, c := range map[string]struct {
		auxes [][]byte
		want  bool
	}{
		"no votes":                        {nil, true},
		"of the view of the block":        {[][]byte{prepares, {0x0a, 1, 2}}, true},
		"of one round":                    {[][]byte{a, a, a}, true},
		"of two rounds":                   {[][]byte{a, a, b}, false},
		"of a round and of the view":      {[][]byte{prepares, a}, false},
		"of the view and of a round":      {[][]byte{a, prepares}, false},
		"from before rounds":              {[][]byte{nil, prepares, nil}, true},
		"from before rounds, and a round": {[][]byte{nil, a, a}, true},
		"from before rounds, two rounds":  {[][]byte{nil, a, nil, b}, false},
	} {
		if got := wire.OneRound(c.auxes); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestEnded(t *testing.T) {
	for status, want := range map[string]bool{
		wire.StatusEscrowed: false, wire.StatusPaid: false, wire.StatusDelivering: false, wire.StatusHeld: false, wire.StatusBilled: false, wire.StatusCleared: false,
		wire.StatusSettled: true, wire.StatusSettledPartly: true, wire.StatusRefunded: true, wire.StatusDisputed: true, wire.StatusFailed: true,
		"": false, "open": false,
	} {
		if wire.Ended(status) != want {
			t.Errorf("%q ended: %v", status, !want)
		}
	}
}

// Codes are words for programs: each once, and of a form that fits a label.
func TestCodesAreDistinctWords(t *testing.T) {
	b, err := os.ReadFile("code.go")
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for _, m := range regexp.MustCompile(`(?m)^\tCode\w+ += "(.*)"$`).FindAllStringSubmatch(string(b), -1) {
		if seen[m[1]] || !regexp.MustCompile(`^[a-z_]{3,24}$`).MatchString(m[1]) {
			t.Errorf("code %q is repeated or no word", m[1])
		}
		seen[m[1]] = true
	}
	if len(seen) < 40 {
		t.Errorf("%d codes read", len(seen))
	}
}

var update = flag.Bool("update", false, "rewrite the golden file")

func number(v float64) *float64 { return &v }

// samples are one value of each view, with every field filled.
func samples() []any {
	at := wire.Time{Time: time.Date(2026, 5, 1, 12, 30, 0, 123_000_000, time.FixedZone("", 7200))}
	cause := wire.Cause{
		Rule: "W03", Kind: "wind", Level: wire.LevelBlock, Latched: true, Holding: true, Text: "gust 24.1 m/s",
		Inputs: []wire.Input{
			{Name: "wind_gust_mps", Value: number(24.1), Unit: "m/s", AgeS: number(0.5), Op: ">=", Threshold: number(20.8)},
			{Name: "wind_speed_mps", Unit: "m/s", AgeS: number(90), State: "stale"},
		},
	}
	return []any{
		wire.Gate[wire.Cause]{
			Schema: wire.SchemaGate, ID: "pv-1-gate-7", Seq: 7, TS: at, ClockSynced: true, State: wire.GateBlocked, Reason: "W03",
			Since: at, ValidUntil: wire.Time{Time: at.Add(90 * time.Second)}, ClearInS: number(300), Causes: []wire.Cause{cause}, GateSeq: 3, Simulated: true,
			Model: &wire.Model{Name: "hazard-mlp", SHA256: "00", P: map[string]*float64{"wind": number(0.83)},
				Top: []wire.Contribution{{Name: "gust", Value: number(24.1), Unit: "m/s", Contribution: number(0.4)}}},
		},
		wire.Gate[wire.Cause]{Schema: wire.SchemaGate, State: wire.GateInit, TS: at, Since: at, ValidUntil: at, Causes: []wire.Cause{}},
		wire.Hazard{Schema: wire.SchemaHazard, ID: "pv-1-hazard-8", Seq: 8, TS: at, Kind: "wind", Level: wire.LevelWarn, P: number(0.83), Rules: []string{"W03"}, Text: "gust"},
		wire.Alert[wire.Cause]{
			Schema: wire.SchemaAlert, ID: "a", Rev: 2, Action: "raise", TS: at, Kind: "wind", Level: wire.LevelBlock, Urgency: "Immediate", Severity: "Severe",
			Certainty: "Observed", Headline: "gust", Instruction: "Wait.", Expires: at, Rules: []string{"W03"}, Causes: []wire.Cause{cause},
			Location: &wire.Location{Lat: 54.5, Lon: 8.25}, Simulated: true,
		},
		wire.Alert[wire.Cause]{Schema: wire.SchemaAlert, TS: at},
		wire.Info{
			Schema: wire.SchemaInfo, Serial: "pv-1", Site: "farm-1", Device: "pv-1", Version: "1", ConfigHash: "00", ModelHash: "01", ChainID: "02",
			Capabilities: []string{"gate"}, Sensors: []wire.Sensor{{Name: "wind", OK: false, Error: "gone", Failures: 2, TookMS: 1.5}}, Simulated: true,
		},
		wire.Telemetry{
			Schema: wire.SchemaTelemetry, Seq: 9, TS: at, Simulated: true,
			AC: map[string]float64{"voltage": 230.1}, DC: map[string]float64{"voltage": 48}, Equipment: map[string]float64{"temperature": 40},
			WX: map[string]float64{"wind_gust": 24.1}, Energy: map[string]int64{"pv-1-out": 1200}, Invalid: map[string]string{"wind_speed_mps": "stale"},
			Votes:   map[string]wire.Vote{"wind_gust_mps": {Value: number(24.1), Disagree: true, Outlier: "b", Sensors: map[string]*float64{"a": number(24.1), "b": nil}}},
			Outbox:  &wire.Outbox{Records: 1, Bytes: 2, Events: 3, OldestMs: 4, Counter: 5, Dropped: 6},
			Sensors: map[string]wire.SensorTelemetry{"wind": {Success: 1, DurationMS: 2.5, Failures: 3}}, Counters: map[string]uint64{"records_final": 1},
		},
		wire.Telemetry{Schema: wire.SchemaTelemetry, TS: at},
	}
}

// The JSON of each view is what other programs read: it changes only with the
// golden file, and then with the number in the schema.
func TestViewSchemas(t *testing.T) {
	var got bytes.Buffer
	for _, v := range samples() {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		got.Write(append(b, '\n'))
	}
	const golden = "testdata/views.jsonl"
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("views are written as\n%s\nwant\n%s", got.Bytes(), want)
	}
}

// A reader sees what the writer wrote.
func TestViewsReadBack(t *testing.T) {
	want := samples()[0].(wire.Gate[wire.Cause])
	b, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got wire.Gate[wire.Cause]
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if !got.TS.Equal(want.TS.Time) || !got.ValidUntil.Equal(want.ValidUntil.Time) || got.State != want.State || *got.ClearInS != 300 ||
		len(got.Causes) != 1 || *got.Causes[0].Inputs[0].Threshold != 20.8 || got.Causes[0].Inputs[1].Value != nil || *got.Model.P["wind"] != 0.83 {
		t.Errorf("read back as %+v", got)
	}
	for _, bad := range []string{`{"ts":"yesterday"}`, `{"ts":7}`, `{"causes":{}}`, `{"state":1}`} {
		if err := json.Unmarshal([]byte(bad), &got); err == nil {
			t.Errorf("%s is a gate", bad)
		}
	}
}
