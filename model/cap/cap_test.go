package cap

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const example = `<?xml version="1.0" encoding="UTF-8"?>
<alert xmlns="urn:oasis:names:tc:emergency:cap:1.2">
  <identifier>farm1-pv3-thunderstorm-1</identifier><sender>pv3@farm1.example.org</sender>
  <sent>2026-01-01T00:00:00-00:00</sent><status>Test</status><msgType>Alert</msgType>
  <scope>Private</scope><addresses>farm1-operators</addresses>
  <info><language>en-US</language><category>Met</category><event>Lightning near generator</event>
    <responseType>Avoid</responseType><urgency>Immediate</urgency><severity>Severe</severity><certainty>Observed</certainty>
    <expires>2026-01-01T00:30:00-00:00</expires><headline>Lightning &lt; 10 km: trading blocked</headline>
    <parameter><valueName>rule</valueName><value>W01</value></parameter>
    <resource><resourceDesc>map</resourceDesc><mimeType>image/png</mimeType></resource>
    <area><areaDesc>farm1 PV 3</areaDesc><polygon>35,119 36,119 36,120 35,119</polygon><circle>35.4100,119.5200 10.0</circle>
      <geocode><valueName>UGC</valueName><value>X1</value></geocode></area></info>
  <Signature xmlns="http://www.w3.org/2000/09/xmldsig#"><SignedInfo/></Signature>
</alert>
`

func TestParseExample(t *testing.T) {
	a, err := Parse([]byte(example))
	if err != nil {
		t.Fatal(err)
	}
	in := &a.Infos[0]
	if a.Identifier != "farm1-pv3-thunderstorm-1" || in.Severity != "Severe" || in.Headline != "Lightning < 10 km: trading blocked" ||
		!in.Expires.Equal(time.Date(2026, 1, 1, 0, 30, 0, 0, time.UTC)) ||
		in.Areas[0].Circles[0] != (Circle{Point{35.41, 119.52}, 10}) || len(in.Areas[0].Polygons[0]) != 4 || in.Parameters[0].Value != "W01" {
		t.Errorf("read %+v", a)
	}
	b, err := a.AppendXML(nil)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(b)
	if err != nil || !reflect.DeepEqual(a, again) {
		t.Errorf("written and read again: %v\n%+v\n%+v", err, a, again)
	}
	if !bytes.Contains(b, []byte("<sent>2026-01-01T00:00:00-00:00</sent>")) {
		t.Error("UTC is not written as -00:00")
	}
}

func TestParseRefuses(t *testing.T) {
	sub := func(old, new string) string { return strings.Replace(example, old, new, 1) }
	for name, c := range map[string]struct{ text, want string }{
		"empty":              {"", "unexpected EOF"},
		"document type":      {sub("<alert", "<!DOCTYPE a [<!ENTITY x \"y\">]><alert"), "document types"},
		"laughs":             {sub("farm1 PV 3", "&lol9;"), "entity"},
		"version 1.1":        {sub("cap:1.2", "cap:1.1"), "want one alert"},
		"no identifier":      {sub("<identifier>farm1-pv3-thunderstorm-1</identifier>", ""), "identifier"},
		"space in sender":    {sub("pv3@farm1", "pv3 @farm1"), "sender"},
		"identifier twice":   {sub("<status>", "<identifier>b</identifier><status>"), "stands twice"},
		"status":             {sub(">Test<", ">tested<"), "status"},
		"no references":      {sub(">Alert<", ">Cancel<"), "references"},
		"bad references":     {sub("<info>", "<references>a,b</references><info>"), "references"},
		"time":               {sub("2026-01-01T00:30:00-00:00", "tomorrow"), "expires"},
		"open polygon":       {sub("36,120 35,119", "36,120 35,120"), "polygon"},
		"latitude":           {sub("35.4100,", "95.4100,"), "circle"},
		"radius":             {sub(" 10.0<", " NaN<"), "radius"},
		"element in text":    {sub("farm1 PV 3", "farm1 <b>PV</b> 3"), "within text"},
		"cut":                {example[:len(example)/2], "EOF"},
		"two alerts":         {example + strings.TrimPrefix(example, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"), "want one alert"},
		"deep":               {sub("<SignedInfo/>", strings.Repeat("<a>", 20)+strings.Repeat("</a>", 20)), "deeper"},
		"many":               {sub("<SignedInfo/>", strings.Repeat("<a/>", 30_000)), "more than 20000"},
		"not UTF-8":          {sub("farm1 PV 3", "\xff\xfe"), "UTF-8"},
		"a megabyte and one": {example + strings.Repeat(" ", MaxBytes), "more than"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Parse([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one that says %q", err, c.want)
			}
		})
	}
}

// endless is a file without end.
type endless struct{ read int }

func (e *endless) Read(b []byte) (int, error) { e.read += len(b); return len(b), nil }

func TestReadStopsAtTheLimit(t *testing.T) {
	var e endless
	if _, err := Read(&e); err == nil || e.read > 4*MaxBytes {
		t.Errorf("error %v after %d bytes", err, e.read)
	}
	if _, err := Read(io.MultiReader(strings.NewReader(example), brokenReader{})); !errors.Is(err, errBroken) {
		t.Errorf("error %v", err)
	}
}

var errBroken = errors.New("broken")

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errBroken }

func TestGeometry(t *testing.T) {
	square := Polygon{{0, 0}, {0, 10}, {10, 10}, {10, 0}, {0, 0}}
	dateLine := Polygon{{-10, 175}, {-10, -175}, {10, -175}, {10, 175}, {-10, 175}}
	for _, c := range []struct {
		p    Polygon
		at   Point
		want bool
	}{
		{square, Point{5, 5}, true},
		{square, Point{5, 11}, false},
		{square, Point{-1, 5}, false},
		{dateLine, Point{0, 179}, true},
		{dateLine, Point{0, -179}, true},
		{dateLine, Point{0, 170}, false},
		{dateLine, Point{0, 0}, false},
	} {
		if got := c.p.Contains(c.at); got != c.want {
			t.Errorf("%v contains %v: %v", c.p, c.at, got)
		}
	}
	for _, c := range []struct {
		km   float64
		want bool
	}{{112, true}, {110, false}} { // one degree of latitude is 111.2 km
		if got := (Circle{Point{50, 8}, c.km}).Contains(Point{51, 8}); got != c.want {
			t.Errorf("a circle of %v km: %v", c.km, got)
		}
	}
	if !(Circle{Point{50, 8}, 0}).Contains(Point{50.005, 8}) {
		t.Error("a circle without radius holds nothing")
	}
}

// What AppendXML writes, Parse reads as the same.
func TestWriteReadProperty(t *testing.T) {
	word := rapid.StringMatching(`[a-z0-9@.:-]{1,12}`)
	// Text of any kind, as XML can carry it and Parse leaves it: trimmed.
	text := rapid.Custom(func(t *rapid.T) string {
		return strings.TrimSpace(rapid.StringOf(rapid.RuneFrom([]rune("ab <>&\"'é雷\n]"))).Draw(t, "text"))
	})
	rapid.Check(t, func(t *rapid.T) {
		at := time.Unix(rapid.Int64Range(1, 4e9).Draw(t, "sent"), 0).UTC()
		a := &Alert{
			Identifier: word.Draw(t, "id"), Sender: word.Draw(t, "sender"), Sent: at,
			Status: rapid.SampledFrom(statuses).Draw(t, "status"), MsgType: rapid.SampledFrom(msgTypes).Draw(t, "type"),
			Scope: "Public", Note: text.Draw(t, "note"),
			References: []Reference{{word.Draw(t, "rs"), word.Draw(t, "ri"), at}},
		}
		for range rapid.IntRange(0, 3).Draw(t, "infos") {
			in := Info{
				Categories: []string{rapid.SampledFrom(categories).Draw(t, "category")}, Event: "x" + text.Draw(t, "event"),
				Urgency: rapid.SampledFrom(urgencies).Draw(t, "urgency"), Severity: rapid.SampledFrom(severities).Draw(t, "severity"),
				Certainty: rapid.SampledFrom(certainty).Draw(t, "certainty"), Description: text.Draw(t, "description"), Expires: at,
			}
			if rapid.Bool().Draw(t, "area") {
				p := Point{rapid.Float64Range(-90, 90).Draw(t, "lat"), rapid.Float64Range(-180, 180).Draw(t, "lon")}
				in.Areas = []Area{{Desc: "y" + text.Draw(t, "desc"), Circles: []Circle{{p, rapid.Float64Range(0, 1000).Draw(t, "km")}},
					Polygons: []Polygon{{p, {1, 2}, {3, 4}, p}}}}
			}
			a.Infos = append(a.Infos, in)
		}
		b, err := a.AppendXML(nil)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(b)
		if err != nil {
			t.Fatalf("%v in %s", err, b)
		}
		if !reflect.DeepEqual(a, again) {
			t.Fatalf("wrote %+v\nread %+v", a, again)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(example))
	f.Add([]byte("<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><alert>&x;</alert>"))
	f.Add([]byte(strings.Replace(example, ">Severe<", ">grave<", 1)))
	desk, err := NewDesk(Site{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := Parse(b)
		if _, note := desk.Unread(b, time.Unix(0, 0), 0); err != nil {
			if note == "" {
				t.Fatal("what cannot be read is said nothing of")
			}
			return
		}
		out, err := a.AppendXML(nil)
		if err != nil {
			t.Fatalf("read but not written: %v", err)
		}
		if _, err := Parse(out); err != nil {
			t.Fatalf("written but not read: %v\n%s", err, out)
		}
	})
}
