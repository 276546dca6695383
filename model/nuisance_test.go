package model_test

import (
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fairwatt/model"
	"fairwatt/model/trace"
)

// mountains and islets are the Taiwanese stations that are no lowland; the
// data's README names them.
var (
	mountains = []string{"466910", "467530", "467550", "467650"}
	islets    = []string{"467620", "466950", "467300"}
)

// A spell is a time with gusts of 24.5 m/s or more, from its first hour to its
// last, over gaps of up to twelve hours.
type spell struct{ first, last int }

// blockedHours judges a trace of hours. It returns in which of them W08 held the
// gate closed, in which it was closed at all, and the spells.
func blockedHours(t *testing.T, path string, change func(*model.Config)) (w08, closed []bool, spells []spell) {
	t.Helper()
	r, err := trace.Open(path, trace.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cfg := model.DefaultConfig()
	trace.Configure(&cfg, r.Meta(), r.Channels())
	m := r.Meta()
	cfg.Position = &m.Position
	change(&cfg)
	j, err := model.NewJudge(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.SetWall(0, 0); err != nil {
		t.Fatal(err)
	}
	var s model.Sample
	for i := 0; ; i++ {
		err := r.Next(&s)
		if errors.Is(err, io.EOF) {
			return w08, closed, spells
		}
		if err != nil {
			t.Fatal(err)
		}
		j.Step(&s)
		v := j.View()
		w08 = append(w08, slices.ContainsFunc(v.Causes, func(c model.Cause) bool { return c.Rule == "W08" }))
		closed = append(closed, v.State != model.StateOpen)
		if gust, ok := s.Get(model.WindGustMPS); ok && gust >= 24.5 {
			if n := len(spells); n > 0 && i-spells[n-1].last <= 12 {
				spells[n-1].last = i
			} else {
				spells = append(spells, spell{i, i})
			}
		}
	}
}

// covered says whether an hour of a spell, or of the twelve before it, is in the
// set.
func (s spell) covered(hours []bool) bool {
	return slices.Contains(hours[max(0, s.first-12):s.last+1], true)
}

func count(hours []bool) (n int) {
	for _, h := range hours {
		if h {
			n++
		}
	}
	return n
}

// On real hours W08 blocks at most half as long as the plain mariner's rule, on
// lowland and on islets, and is closed in every spell with a gust of 24.5 m/s in
// which that was.
func TestNuisanceOfW08(t *testing.T) {
	dir := filepath.Dir(sharedFile(t, "weather/taiwan/466920.csv.gz"))
	paths, err := filepath.Glob(filepath.Join(dir, "*.csv.gz"))
	if err != nil || len(paths) < 31 {
		t.Fatalf("%d stations, %v", len(paths), err)
	}
	type sum struct{ plain, now, spells, covered, lost, closedPlain, closedNow, lostByGate int }
	sums := map[string]*sum{"lowland": {}, "islets": {}, "mountains": {}}
	for _, path := range paths {
		id := strings.TrimSuffix(filepath.Base(path), ".csv.gz")
		s := sums["lowland"]
		switch {
		case slices.Contains(islets, id):
			s = sums["islets"]
		case slices.Contains(mountains, id):
			s = sums["mountains"]
		}
		plain, closedPlain, spells := blockedHours(t, path, func(c *model.Config) {
			c.Cyclone.DewPointC, c.Cyclone.GaleMPS, c.Cyclone.CalmS = -60, c.Cyclone.MeanWindMPS, 7*86400
		})
		now, closedNow, _ := blockedHours(t, path, func(*model.Config) {})
		s.plain, s.now = s.plain+count(plain), s.now+count(now)
		s.closedPlain, s.closedNow = s.closedPlain+count(closedPlain), s.closedNow+count(closedNow)
		s.spells += len(spells)
		for _, sp := range spells {
			if sp.covered(plain) {
				s.covered++
				if !sp.covered(now) {
					s.lost++
					t.Errorf("%s: W08 misses the spell of hours %d to %d", id, sp.first, sp.last)
				}
			}
			if sp.covered(closedPlain) && !sp.covered(closedNow) {
				s.lostByGate++
			}
		}
	}
	for name, s := range sums {
		t.Logf("%s: W08 blocks %d h, the plain rule %d h (%.0f %%); closed in all %d h, plain %d h; %d spells, %d of them under the plain rule, %d lost; gate open through %d that it closed in",
			name, s.now, s.plain, 100*float64(s.now)/float64(s.plain), s.closedNow, s.closedPlain, s.spells, s.covered, s.lost, s.lostByGate)
		if name != "mountains" && (2*s.now > s.plain || s.covered == 0) || s.lostByGate > 0 {
			t.Errorf("%s: %+v", name, *s)
		}
	}
}

// The turbine of an islet trades in the wind it earns in: T01 stands in the place
// of W03.
func TestTurbineHasT01InPlaceOfW03(t *testing.T) {
	path := sharedFile(t, "replay/gale_kinmen_2020-08.csv")
	_, pv, _ := blockedHours(t, path, func(*model.Config) {})
	_, wind, _ := blockedHours(t, path, func(c *model.Config) { c.Generator = model.GeneratorWind })
	if count(wind) >= count(pv) || count(pv) == 0 {
		t.Errorf("closed for %d h at a turbine, %d h at a PV plant", count(wind), count(pv))
	}
}
