package cap

import (
	"encoding/binary"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"pgregory.net/rapid"

	"fairwatt/model"
)

// grave is a message that blocks the site at 47.4, 8.5 at noon.
const grave = `<?xml version="1.0" encoding="UTF-8"?>
<alert xmlns="urn:oasis:names:tc:emergency:cap:1.2"><identifier>m-1</identifier><sender>office@example</sender>
<sent>2026-05-01T11:00:00-00:00</sent><status>Actual</status><msgType>Alert</msgType><scope>Public</scope>
<info><language>en</language><category>Met</category><event>Storm</event><responseType>Shelter</responseType><urgency>Immediate</urgency>
<severity>Severe</severity><certainty>Likely</certainty><onset>2026-05-01T11:00:00-00:00</onset><expires>2026-05-01T14:00:00-00:00</expires>
<headline>Storm</headline><area><areaDesc>Lane</areaDesc><polygon>47,8 47,9 48,9 48,8 47,8</polygon></area></info></alert>
`

var midday = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func atSite(t *testing.T) *Desk {
	t.Helper()
	d, err := NewDesk(Site{Position: &Point{47.4, 8.5}})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// take is what an agent does with a message.
func take(d *Desk, b []byte) (orders []Order, oddities []string, note string) {
	a, err := Parse(b)
	if err != nil {
		orders, note = d.Unread(b, midday, 0)
		return orders, nil, note
	}
	orders, note = d.Handle(a, midday, 0)
	return orders, a.Oddities, note
}

func utf16Of(s string, order binary.AppendByteOrder, mark bool) []byte {
	if mark {
		s = "\ufeff" + s
	}
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = order.AppendUint16(b, u)
	}
	return b
}

// Whatever no decision hangs on leaves a grave message as grave as it is.
func TestGraveStaysGrave(t *testing.T) {
	sub := func(old, new string) string {
		if !strings.Contains(grave, old) {
			t.Fatalf("%q is not in the message", old)
		}
		return strings.Replace(grave, old, new, 1)
	}
	latin := sub("UTF-8", "ISO-8859-1")
	for name, c := range map[string]struct {
		text string
		odd  int
	}{
		"as it is":               {grave, 0},
		"instruction before":     {sub("<alert", `<?xml-stylesheet href="x"?><alert`), 0},
		"instruction within":     {sub("<info>", `<?a?><info>`), 0},
		"instruction in a text":  {sub("Lane", `La<?a?>ne`), 0},
		"instruction behind":     {grave + "<?editor saved?>", 0},
		"UTF-16 little":          {string(utf16Of(sub("UTF-8", "UTF-16"), binary.LittleEndian, true)), 0},
		"UTF-16 big":             {string(utf16Of(sub("UTF-8", "utf-16"), binary.BigEndian, true)), 0},
		"UTF-16 without a mark":  {string(utf16Of(sub("UTF-8", "UTF-16LE"), binary.LittleEndian, false)), 0},
		"UTF-16 big, no mark":    {string(utf16Of(sub("UTF-8", "UTF-16BE"), binary.BigEndian, false)), 0},
		"UTF-16 that says UTF-8": {string(utf16Of(grave, binary.LittleEndian, true)), 0},
		"UTF-8 mark":             {"\ufeff" + grave, 0},
		"Latin-1":                {strings.Replace(latin, "Lane", "Gew\xe4sser", 1), 0},
		"Very Likely":            {sub("Likely", "Very Likely"), 0},
		"small letters":          {strings.NewReplacer("Severe", "severe", "Actual", "actual", "Immediate", "IMMEDIATE", ">Met<", ">met<").Replace(grave), 0},
		"category unknown":       {sub(">Met<", ">Weather<"), 1},
		"no category":            {sub("<category>Met</category>", ""), 1},
		"responseType unknown":   {sub("Shelter", "Hide"), 1},
		"certainty unknown":      {sub("Likely", "Sure"), 1},
		"scope unknown":          {sub("Public", "All"), 1},
		"Private to none":        {sub("Public", "Private"), 1},
		"no event":               {sub("<event>Storm</event>", ""), 1},
		"no areaDesc":            {sub("<areaDesc>Lane</areaDesc>", ""), 1},
		"unknown elements":       {sub("<info>", "<info><mood><a>grim</a></mood><b/>"), 2},
		"headline twice":         {sub("<headline>", "<headline>a</headline><headline>"), 1},
		"loose text":             {sub("<info>", "<info>hello"), 1},
		"onset unreadable":       {sub("<onset>2026-05-01T11:00:00-00:00", "<onset>soon"), 1},
		"an update of nothing":   {sub(">Alert<", ">Update<"), 1},
		"offset without a colon": {sub("14:00:00-00:00", "14:00:00+0000"), 0},
		"time without seconds":   {sub("14:00:00-00:00", "14:00Z"), 0},
		"time in small letters":  {sub("2026-05-01T14:00:00-00:00", "2026-05-01t14:00:00z"), 0},
		"a hundred odd elements": {sub("<info>", "<info>"+strings.Repeat("<x/>", 100)), maxOddities},
	} {
		orders, odd, note := take(atSite(t), []byte(c.text))
		if len(orders) != 1 || orders[0].Warning.Level != model.LevelBlock || orders[0].Warning.UntilMs != 2*3600_000 || len(odd) != c.odd {
			t.Errorf("%s: %+v (%s), passed over %q; want a block for two hours and %d", name, orders, note, odd, c.odd)
		}
	}
}

// What cannot be read and may be grave warns; it never blocks.
func TestUnreadWarns(t *testing.T) {
	sub := func(old, new string) string { return strings.Replace(grave, old, new, 1) }
	for name, c := range map[string]struct {
		text  string
		hours int64 // 0: nothing
	}{
		"severity twice":       {sub("<severity>", "<severity>Minor</severity><severity>"), 2},
		"severity unknown":     {sub("Severe", "Terrible"), 2},
		"open polygon":         {sub("48,8 47,8", "48,8"), 2},
		"cut":                  {grave[:strings.Index(grave, "<expires>")], 24},
		"cut before severity":  {grave[:strings.Index(grave, "<severity>")], 24},
		"version 1.1":          {sub("cap:1.2", "cap:1.1"), 2},
		"expiry unreadable":    {sub("2026-05-01T14:00:00-00:00", "tonight"), 24},
		"expiry far away":      {sub("2026-05-01T14:00:00-00:00", "2027-05-01T14:00:00-00:00</expires><expires>x"), 7 * 24},
		"entity":               {sub("Lane", "&lane;"), 2},
		"not UTF-8":            {sub("Lane", "\xff"), 2},
		"half a character":     {string(utf16Of(grave, binary.LittleEndian, true)) + "x", 2},
		"status unknown":       {sub("Actual", "Real"), 2},
		"over":                 {strings.NewReplacer("cap:1.2", "cap:1.1", "T14:00", "T11:30").Replace(grave), 0},
		"a test":               {strings.NewReplacer("cap:1.2", "cap:1.1", "Actual", "Test").Replace(grave), 0},
		"acknowledgement":      {strings.NewReplacer("cap:1.2", "cap:1.1", ">Alert<", ">Ack<").Replace(grave), 0},
		"mild":                 {strings.NewReplacer("cap:1.2", "cap:1.1", "Severe", "Minor").Replace(grave), 0},
		"mild as far as it is": {strings.NewReplacer("Severe", "Minor", "</info></alert>", "").Replace(grave), 2},
		"no CAP":               {"<html><body>502 bad gateway</body></html>", 0},
		"noise":                {"\x00\x01\x02", 0},
	} {
		orders, _, note := take(atSite(t), []byte(c.text))
		if c.hours == 0 {
			if len(orders) != 0 || !strings.HasPrefix(note, "passed over") {
				t.Errorf("%s: %+v (%s), want nothing", name, orders, note)
			}
			continue
		}
		if len(orders) != 1 || orders[0].Warning.Level != model.LevelWarn || orders[0].Warning.UntilMs != c.hours*3600_000 {
			t.Errorf("%s: %+v (%s), want a warning for %d h", name, orders, note, c.hours)
		}
	}
}

// A broken copy does not take the place of the block that the whole one made, and
// the whole one ends the warning of the broken one.
func TestUnreadBesideRead(t *testing.T) {
	broken := strings.Replace(grave, "48,8 47,8", "48,8", 1)
	d := atSite(t)
	first, _, _ := take(d, []byte(grave))
	second, _, _ := take(d, []byte(broken))
	if len(second) != 1 || second[0].Withdraw != "" || second[0].Warning.ID == first[0].Warning.ID {
		t.Fatalf("the broken copy gives %+v over %+v", second, first)
	}
	lit := func(text string) []string {
		t.Helper()
		a, err := Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return d.Lit(a)
	}
	unnamed, _, _ := take(d, []byte("<alert/>"))
	want := []string{second[0].Warning.ID, unnamed[0].Warning.ID}
	if got := lit(grave); !reflect.DeepEqual(got, want) {
		t.Errorf("the whole one ends %q, want %q", got, want)
	}
	if got := lit(strings.Replace(grave, "Actual", "Test", 1)); got != nil {
		t.Errorf("a test ends %q", got)
	}
	cancel := strings.NewReplacer("m-1", "m-2", ">Alert<", ">Cancel<", "<info>",
		"<references>office@example,m-1,2026-05-01T11:00:00-00:00</references><info>").Replace(grave)
	orders, _, _ := take(d, []byte(cancel))
	if got := lit(cancel); !reflect.DeepEqual(orders, []Order{{Withdraw: first[0].Warning.ID}}) || got[2] != second[0].Warning.ID {
		t.Errorf("the cancellation gives %+v and ends %q", orders, got)
	}
	if got := lit(strings.Replace(cancel, "<references>office", "<references>other", 1)); len(got) != 2 {
		t.Errorf("another sender's cancellation ends %q", got)
	}
	if late, _, note := take(d, []byte(broken)); len(late) != 0 {
		t.Errorf("a broken copy of what was cancelled gives %+v (%s)", late, note)
	}
}

// However many messages cannot be read, few warnings of them stand at a time.
func TestUnreadIsBounded(t *testing.T) {
	d, inForce := atSite(t), map[string]bool{}
	for i := range 200 {
		text := strings.NewReplacer("m-1", "m-"+strings.Repeat("x", i), "cap:1.2", "cap:1.1").Replace(grave)
		orders, _, _ := take(d, []byte(text))
		for _, o := range orders {
			if o.Withdraw != "" {
				delete(inForce, o.Withdraw)
			} else {
				inForce[o.Warning.ID] = true
			}
		}
	}
	if len(inForce) != maxDark {
		t.Errorf("%d warnings stand, want %d", len(inForce), maxDark)
	}
}

// A grave message with any one byte lost or changed, or cut anywhere behind its
// severity, still warns at least, unless what it says of itself has changed.
func TestDamagedGraveMessage(t *testing.T) {
	from := strings.Index(grave, "</severity>")
	rapid.Check(t, func(t *rapid.T) {
		i := rapid.IntRange(from, len(grave)-1).Draw(t, "at")
		text := grave[:i]
		if rapid.Bool().Draw(t, "one byte only") {
			text += string(rapid.Byte().Draw(t, "byte")) + grave[i+1:]
		}
		d, err := NewDesk(Site{})
		if err != nil {
			t.Fatal(err)
		}
		orders, _, note := take(d, []byte(text))
		if len(orders) == 0 && !strings.Contains(note, "expired") {
			t.Fatalf("nothing (%s) comes of %s", note, text)
		}
	})
}
