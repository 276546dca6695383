package nowcast_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"fairwatt/model/neighbours"
	"fairwatt/proto/nowcast"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

var (
	chain = [32]byte{7}
	from  = wire.Topics{Site: "harbour", Device: "pv-1"}
)

const nowMs = 1_800_000_000_000

func keyOf(name string) ed25519.PrivateKey {
	sum := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(sum[:])
}

// everyone knows the key of any name.
func everyone(name string) (ed25519.PublicKey, bool) {
	return keyOf(name).Public().(ed25519.PublicKey), true
}

func sample() neighbours.Nowcast {
	return neighbours.Nowcast{
		Sender: "pv-1", Position: neighbours.Position{LatitudeDeg: 54.35, LongitudeDeg: 18.65}, MadeAtMs: nowMs, ValidUntilMs: nowMs + nowcast.ValidMs,
		Weather: neighbours.Weather{
			GustRatio: neighbours.Some(1.25), PressureChange3hHPa: neighbours.Some(-2.5), Thunder: true, ThunderAgoMs: 90_000, Strokes3h: 12,
		},
	}
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// What a sender tells arrives as it was, but for digits that no sensor gives.
func TestSealAndOpen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := sample()
		n.Position = neighbours.Position{LatitudeDeg: rapid.Float64Range(-90, 90).Draw(t, "lat"), LongitudeDeg: rapid.Float64Range(-180, 180).Draw(t, "lon")}.Coarse(0.05)
		n.GustRatio = neighbours.Optional{V: rapid.Float64Range(0, neighbours.MaxGustRatio).Draw(t, "gust"), OK: rapid.Bool().Draw(t, "has gust")}
		n.PressureChange3hHPa = neighbours.Optional{V: rapid.Float64Range(-60, 60).Draw(t, "change"), OK: rapid.Bool().Draw(t, "has change")}
		n.Thunder = rapid.Bool().Draw(t, "thunder")
		n.ThunderAgoMs = 1000 * rapid.Int64Range(0, neighbours.ThunderBackMs/1000).Draw(t, "ago")
		n.Strokes3h = rapid.Int64Range(0, neighbours.MaxStrokes).Draw(t, "strokes")
		if !n.Thunder {
			n.ThunderAgoMs, n.Strokes3h = 0, 0
		}
		simulated := rapid.Bool().Draw(t, "simulated")
		sealed, err := nowcast.Seal(keyOf("pv-1"), chain, from, n, simulated)
		if err != nil {
			t.Fatal(err)
		}
		got, err := nowcast.Open(sealed, chain, everyone)
		if err != nil {
			t.Fatal(err)
		}
		if got.From != from || got.Simulated != simulated || string(got.Sealed) != string(sealed) {
			t.Fatalf("from %v, simulated %v", got.From, got.Simulated)
		}
		near := func(field string, a, b neighbours.Optional, by float64) {
			if a.OK != b.OK || a.OK && math.Abs(a.V-b.V) > by {
				t.Fatalf("%s: %v became %v", field, a, b)
			}
		}
		near("gust", n.GustRatio, got.GustRatio, 0.0005001)
		near("change", n.PressureChange3hHPa, got.PressureChange3hHPa, 0.005001)
		near("latitude", neighbours.Some(n.Position.LatitudeDeg), neighbours.Some(got.Position.LatitudeDeg), 1e-5)
		near("longitude", neighbours.Some(n.Position.LongitudeDeg), neighbours.Some(got.Position.LongitudeDeg), 1e-5)
		got.GustRatio, got.PressureChange3hHPa, got.Position = n.GustRatio, n.PressureChange3hHPa, n.Position
		if got.Nowcast != n {
			t.Fatalf("%+v became %+v", n, got.Nowcast)
		}
	})
}

// sealedJSON seals any payload in the name of pv-1.
func sealedJSON(t testing.TB, payload string) []byte {
	return must[[]byte](t)(seal.Seal(keyOf("pv-1"), "pv-1", seal.DomainNowcast, chain, []byte(payload)))
}

// Each refusal has its code, and says which field is wrong.
func TestOpenRefuses(t *testing.T) {
	good := must[[]byte](t)(nowcast.Seal(keyOf("pv-1"), chain, from, sample(), false))
	if _, err := nowcast.Open(good, chain, everyone); err != nil {
		t.Fatal(err)
	}
	change := func(old, new string) []byte {
		_, payload, err := seal.Peek(good)
		if err != nil || !strings.Contains(string(payload), old) {
			t.Fatalf("no %s in %s (%v)", old, payload, err)
		}
		return sealedJSON(t, strings.Replace(string(payload), old, new, 1))
	}
	forged := must[[]byte](t)(seal.Seal(keyOf("thief"), "pv-1", seal.DomainNowcast, chain, []byte("{}")))
	record := must[[]byte](t)(seal.Seal(keyOf("pv-1"), "pv-1", seal.DomainRecord, chain, []byte("{}")))
	other := must[[]byte](t)(seal.Seal(keyOf("pv-1"), "pv-1", seal.DomainNowcast, [32]byte{8}, []byte("{}")))
	for _, c := range []struct {
		name, code, names string
		sealed            []byte
	}{
		{"nothing", nowcast.CodeMalformed, "sealed", nil},
		{"a byte over", nowcast.CodeMalformed, "1025 bytes", make([]byte, nowcast.MaxBytes+1)},
		{"forged", nowcast.CodeBadSignature, "pv-1", forged},
		{"sealed as a record", nowcast.CodeBadSignature, "pv-1", record},
		{"of another chain", nowcast.CodeBadSignature, "pv-1", other},
		{"no JSON", nowcast.CodeMalformed, "pv-1", sealedJSON(t, "x")},
		{"more behind", nowcast.CodeMalformed, "pv-1", sealedJSON(t, "{} {}")},
		{"another schema", nowcast.CodeMalformed, "nowcast/2", change("nowcast/1", "nowcast/2")},
		{"another device", nowcast.CodeWrongTopic, "pv-2", change("harbour/pv-1", "harbour/pv-2")},
		{"no site", nowcast.CodeMalformed, "site/device", change("harbour/pv-1", "pv-1")},
		{"a site that cannot be", nowcast.CodeMalformed, "site/device", change("harbour/pv-1", "har+bour/pv-1")},
		{"no position", nowcast.CodeMalformed, "position", change(`"latitude"`, `"altitude"`)},
		{"off the earth", nowcast.CodeAbsurd, "position", change("54.35", "90.01")},
		{"a gust", nowcast.CodeAbsurd, "gust_ratio", change("1.25", "10.001")},
		{"a gust below 0", nowcast.CodeAbsurd, "gust_ratio", change("1.25", "-0.001")},
		{"a gust that is no number", nowcast.CodeMalformed, "pv-1", change("1.25", "1e999")},
		{"a change", nowcast.CodeAbsurd, "pressure_change", change("-2.5", "-60.01")},
		{"strokes", nowcast.CodeAbsurd, "strokes_3h", change(`"strokes_3h":12`, `"strokes_3h":100001`)},
		{"thunder ahead", nowcast.CodeAbsurd, "thunder_ago_s", change(`"thunder_ago_s":90`, `"thunder_ago_s":-1`)},
		{"thunder that overflows", nowcast.CodeAbsurd, "thunder_ago_s", change(`"thunder_ago_s":90`, `"thunder_ago_s":9223372036854775`+"807")},
		{"strokes of no detector", nowcast.CodeAbsurd, "strokes_3h", change(`"thunder_ago_s":90,`, ``)},
		{"no time", nowcast.CodeAbsurd, "made_at", change(fmt.Sprint(int64(nowMs)), "0")},
		{"never valid", nowcast.CodeAbsurd, "valid_until", change(fmt.Sprint(nowMs+nowcast.ValidMs), fmt.Sprint(int64(nowMs)))},
		{"valid for ever", nowcast.CodeAbsurd, "valid_until", change(fmt.Sprint(nowMs+nowcast.ValidMs), fmt.Sprint(int64(math.MaxInt64)))},
	} {
		_, err := nowcast.Open(c.sealed, chain, everyone)
		if err == nil || nowcast.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.names) || len(err.Error()) > 300 {
			t.Errorf("%s: %v (code %s, want %s with %q)", c.name, err, nowcast.CodeOf(err), c.code, c.names)
		}
	}
	none := func(string) (ed25519.PublicKey, bool) { return nil, false }
	if _, err := nowcast.Open(good, chain, none); nowcast.CodeOf(err) != nowcast.CodeUnknown {
		t.Errorf("an unknown sender: %v", err)
	}
	// A later sender may say more.
	if _, err := nowcast.Open(change(`{"schema"`, `{"snow_cm":3,"schema"`), chain, everyone); err != nil {
		t.Errorf("a field more: %v", err)
	}
}

func TestSealRefusesWhatOpenWould(t *testing.T) {
	n := sample()
	n.GustRatio = neighbours.Some(math.NaN())
	if b, err := nowcast.Seal(keyOf("pv-1"), chain, from, n, false); !errors.Is(err, neighbours.ErrAbsurd) || b != nil {
		t.Errorf("%v", err)
	}
	long := wire.Topics{Site: strings.Repeat("s", 64), Device: strings.Repeat("d", 64)}
	b, err := nowcast.Seal(keyOf("pv-1"), chain, long, sample(), true)
	if err != nil || len(b) > nowcast.MaxBytes*2/3 {
		t.Errorf("the longest names: %d bytes, %v", len(b), err)
	}
}

func TestCodesOfNeighbours(t *testing.T) {
	for err, want := range map[error]string{
		neighbours.ErrAbsurd: nowcast.CodeAbsurd, neighbours.ErrStale: nowcast.CodeStale, neighbours.ErrFuture: nowcast.CodeFuture,
		neighbours.ErrReplayed: nowcast.CodeReplayed, neighbours.ErrFar: nowcast.CodeFar, neighbours.ErrFull: nowcast.CodeFull,
		neighbours.ErrOwn: nowcast.CodeOwn, errors.New("other"): nowcast.CodeMalformed,
	} {
		if got := nowcast.CodeOf(fmt.Errorf("put: %w", err)); got != want {
			t.Errorf("%v: %s, want %s", err, got, want)
		}
	}
}

// FuzzOpen gives any payload of a known sender. What is taken has only values that
// can be, and says the same when it is sealed again.
func FuzzOpen(f *testing.F) {
	good, err := nowcast.Seal(keyOf("pv-1"), chain, from, sample(), true)
	if err != nil {
		f.Fatal(err)
	}
	_, payload, err := seal.Peek(good)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(payload)
	f.Add([]byte(`{"schema":"nowcast/1","device":"a/pv-1","made_ms":1,"valid_until_ms":2,"latitude":0,"longitude":-180}`))
	f.Add([]byte(`{"schema":"nowcast/1","device":"a/pv-1","made_ms":1,"valid_until_ms":2,"LATITUDE":0,"longitude":1,"thunder_ago_s":99999999}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		if len(payload) == 0 || len(payload) > 4*nowcast.MaxBytes {
			return
		}
		sealed := must[[]byte](t)(seal.Seal(keyOf("pv-1"), "pv-1", seal.DomainNowcast, chain, payload))
		got, err := nowcast.Open(sealed, chain, everyone)
		if err != nil {
			if got != nil {
				t.Errorf("%v, and %+v", err, got)
			}
			return
		}
		if err := got.Check(); err != nil {
			t.Errorf("%s: %v", payload, err)
		}
		again := must[[]byte](t)(nowcast.Seal(keyOf("pv-1"), chain, got.From, got.Nowcast, got.Simulated))
		if _, err := nowcast.Open(again, chain, everyone); err != nil {
			t.Errorf("%s, sealed again: %v", payload, err)
		}
	})
}

// FuzzOpenSealed gives any bytes: nothing is taken that pv-1 has not signed.
func FuzzOpenSealed(f *testing.F) {
	good, err := nowcast.Seal(keyOf("pv-1"), chain, from, sample(), true)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := nowcast.Open(b, chain, func(name string) (ed25519.PublicKey, bool) {
			key, _ := everyone(name)
			return key, name == "pv-1"
		})
		if err == nil && (string(b) != string(good) || got.From != from) {
			t.Errorf("taken: %x", b)
		}
	})
}

func deliver(t testing.TB, da string, to wire.Topics, atMs int64, names ...string) []byte {
	var list []nowcast.Vouched
	for _, name := range names {
		n := sample()
		n.MadeAtMs, n.ValidUntilMs = atMs, atMs+1000
		b := must[[]byte](t)(nowcast.Seal(keyOf(name), chain, wire.Topics{Site: "s", Device: name}, n, false))
		list = append(list, nowcast.Vouched{Key: seal.FormatKey(keyOf(name).Public().(ed25519.PublicKey)), Sealed: b})
	}
	return must[[]byte](t)(nowcast.SealDelivery(keyOf(da), da, chain, to, atMs, list))
}

func TestDelivery(t *testing.T) {
	b := deliver(t, "da-1", from, nowMs, "pv-7", "pv-8")
	list, err := nowcast.OpenDelivery(b, "da-1", chain, everyone, from, nowMs)
	if err != nil || len(list) != 2 {
		t.Fatalf("%d, %v", len(list), err)
	}
	got, err := nowcast.Open(list[1].Sealed, chain, everyone)
	if err != nil || got.From.Device != "pv-8" {
		t.Errorf("%+v, %v", got, err)
	}
	if key, err := seal.ParseKey(string(list[1].Key)); err != nil || !key.Equal(keyOf("pv-8").Public()) {
		t.Errorf("key %v", err)
	}
	elsewhere := wire.Topics{Site: "harbour", Device: "pv-2"}
	payload := func(text string) []byte {
		return must[[]byte](t)(seal.Seal(keyOf("da-1"), "da-1", seal.DomainNeighbours, chain, []byte(text)))
	}
	many := must[[]byte](t)(json.Marshal(make([]nowcast.Vouched, neighbours.MaxNeighbours+1)))
	for _, c := range []struct {
		name, code string
		b          []byte
		da         string
		to         wire.Topics
		nowMs      int64
	}{
		{"another's topic", nowcast.CodeWrongTopic, b, "da-2", from, nowMs},
		{"another device", nowcast.CodeWrongTopic, b, "da-1", elsewhere, nowMs},
		{"late", nowcast.CodeStale, b, "da-1", from, nowMs + neighbours.SkewMs + 1},
		{"early", nowcast.CodeFuture, b, "da-1", from, nowMs - neighbours.SkewMs - 1},
		{"a byte over", nowcast.CodeMalformed, make([]byte, nowcast.MaxDeliveryBytes+1), "da-1", from, nowMs},
		{"nothing", nowcast.CodeMalformed, nil, "da-1", from, nowMs},
		{"a nowcast", nowcast.CodeBadSignature, must[[]byte](t)(nowcast.Seal(keyOf("da-1"), chain, wire.Topics{Site: "s", Device: "da-1"}, sample(), false)), "da-1", from, nowMs},
		{"no JSON", nowcast.CodeMalformed, payload("["), "da-1", from, nowMs},
		{"another schema", nowcast.CodeMalformed, payload(`{"schema":"neighbours/2"}`), "da-1", from, nowMs},
		{"too many", nowcast.CodeMalformed, payload(fmt.Sprintf(`{"schema":"neighbours/1","to":"harbour/pv-1","at_ms":%d,"neighbours":%s}`, int64(nowMs), many)), "da-1", from, nowMs},
	} {
		if _, err := nowcast.OpenDelivery(c.b, c.da, chain, everyone, c.to, c.nowMs); err == nil || nowcast.CodeOf(err) != c.code {
			t.Errorf("%s: %v (%s)", c.name, err, nowcast.CodeOf(err))
		}
	}
	for _, late := range []int64{-neighbours.SkewMs, neighbours.SkewMs} {
		if _, err := nowcast.OpenDelivery(b, "da-1", chain, everyone, from, nowMs+late); err != nil {
			t.Errorf("%d ms off: %v", late, err)
		}
	}
}

// As many as there may be, with the longest names, fit.
func TestLargestDelivery(t *testing.T) {
	var names []string
	for i := range neighbours.MaxNeighbours {
		names = append(names, fmt.Sprintf("%s%02d", strings.Repeat("d", 62), i))
	}
	b := deliver(t, "da-1", from, nowMs, names...)
	if list, err := nowcast.OpenDelivery(b, "da-1", chain, everyone, from, nowMs); err != nil || len(list) != len(names) {
		t.Errorf("%d, %v", len(list), err)
	}
	for _, n := range []int{0, neighbours.MaxNeighbours + 1} {
		if _, err := nowcast.SealDelivery(keyOf("da-1"), "da-1", chain, from, nowMs, make([]nowcast.Vouched, n)); err == nil {
			t.Errorf("%d nowcasts are sealed", n)
		}
	}
}

// A key counts when enough data aggregators say so, lately.
func TestRoll(t *testing.T) {
	public := func(name string) ed25519.PublicKey { return keyOf(name).Public().(ed25519.PublicKey) }
	r := nowcast.NewRoll(2)
	know := func(want string, atMs int64) {
		t.Helper()
		key, ok := r.Key("pv-1", atMs)
		if ok != (want != "") || ok && !key.Equal(public(want)) {
			t.Errorf("at %d: known %v, want %q", atMs, ok, want)
		}
	}
	know("", 0)
	r.Say("da-1", "pv-1", public("a"), 1000)
	r.Say("da-1", "pv-1", public("a"), 2000)
	know("", 2000) // one that says it twice is one
	r.Say("da-2", "pv-1", public("liar's"), 2000)
	know("", 2000)
	r.Say("da-3", "pv-1", public("a"), 3000)
	know("a", 3000)
	r.Say("da-4", "pv-1", public("liar's"), 3000)
	know("", 3000) // two against two
	r.Say("da-4", "pv-1", public("a"), 4000)
	know("a", 4000)
	// Words grow old: da-1's of 2000 goes first.
	const hour = 60 * 60_000
	know("a", 3000+hour)
	know("", 3001+hour)
	// One data aggregator's flood costs its own words only.
	r.Say("da-1", "pv-1", public("a"), 4001+hour)
	r.Say("da-3", "pv-1", public("a"), 4001+hour)
	for i := range 1000 {
		r.Say("da-2", fmt.Sprintf("x-%d", i), public("liar's"), 4001+hour)
	}
	know("a", 4001+hour)
	if _, ok := r.Key("x-999", 4001+hour); ok {
		t.Error("one made up a sender")
	}
}
