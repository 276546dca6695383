package main

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// valuesOf is a file of the operator for marketChain, whose trades are in December 2023: what
// flowed of them is in two quarters of an hour.
func valuesOf(t *testing.T, kept, disputed string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "operator.csv")
	text := "\xef\xbb\xbfZählpunkt;Zeit von;kWh;Richtung;Status\r\n"
	for _, row := range [][3]string{{"no-seller-1-meter-2", "2.29.0", kept}, {"buyer-1-meter", "1.29.0", kept}, {"buyer-1-meter", "1.29.0", disputed}} {
		begin := "14.12.2023 23:00"
		if row[2] == disputed {
			begin = "14.12.2023 23:15"
		}
		text += row[0] + ";" + begin + ";" + row[2] + ";1-1:" + row[1] + ";L1\r\n"
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func reconcileArgs(export, values string, more ...string) []string {
	return append([]string{"market", "reconcile", "--export", export, "--month", "2023-12", "--zone", "Europe/Vienna", "--values", values,
		"--point-column", "zählpunkt", "--time-column", "Zeit von", "--direction-column", "Richtung", "--quality-column", "Status"}, more...)
}

// Values that fit end well, others with the words of the market's page and an error; the
// forms for programs say the same.
func TestMarketReconcile(t *testing.T) {
	_, export := marketChain(t)
	if out, err := runMarket(reconcileArgs(export, valuesOf(t, "2,000", "0,000"))...); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	values := valuesOf(t, "2,000", "0,750")
	out, err := runMarket(reconcileArgs(export, values)...)
	if err == nil || err.Error() != "1 of 2 metering points differ" {
		t.Errorf("%v", err)
	}
	quote(t, "reconcile", out)

	text, err := runMarket(reconcileArgs(export, values, "--json")...)
	var r reconciliation
	if jsonErr := json.Unmarshal([]byte(text), &r); err == nil || jsonErr != nil || len(r.Totals) != 2 || r.Totals[0].MeasuredWh != 2750 || r.Differs != 1 || r.Totals[0].Slots != 31*96 {
		t.Errorf("%v, %v\n%s", err, jsonErr, text)
	}
	text, err = runMarket(reconcileArgs(export, values, "--csv")...)
	rows, csvErr := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err == nil || csvErr != nil || len(rows) != 6 {
		t.Fatalf("%v, %v\n%s", err, csvErr, text)
	}
	sum := 0
	for _, row := range rows[1:4] {
		if row[0] == "buyer-1-meter" {
			n, _ := strconv.Atoi(row[7])
			sum += n
		}
	}
	if sum != 2750 || rows[4][2] != "total" || rows[4][7] != "2750" {
		t.Errorf("the rows add up to %d\n%s", sum, text)
	}
	for _, more := range [][]string{
		{"--month", "December"}, {"--zone", "Mars"}, {"--zone", "Local"}, {"--values", ""}, {"--csv", "--json"}, {"--values-are", "guess"}, {"--tolerance-wh", "-1"},
		{"--month-tolerance-wh", "-1"}, {"--separator", "::"}, {"--decimal", "::"}, {"--point", "AT1"}, {"--point", "=m"}, {"--point", "AT1="}, {"--unit", "MWh"},
	} {
		if _, err := runMarket(reconcileArgs(export, values, more...)...); !isUsage(err) {
			t.Errorf("%v: %v", more, err)
		}
	}
	for want, more := range map[string][]string{"open values": {"--values", "nowhere.csv"}, "no column \"x\"": {"--time-column", "x"}} {
		if _, err := runMarket(reconcileArgs(export, values, more...)...); err == nil || isUsage(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v", more, err)
		}
	}
}

// quote holds what a command prints against what docs/market.md shows of it
// (FAIRWATT_UPDATE=1 writes it).
func quote(t *testing.T, name, out string) {
	t.Helper()
	begin, end := "<!-- begin "+name+" -->\n", "<!-- end "+name+" -->\n"
	const file = "../../../docs/market.md"
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(b), begin)
	shown, behind, ends := strings.Cut(rest, end)
	if !begins || !ends {
		t.Fatal("docs/market.md has no place for what " + name + " prints")
	}
	var want strings.Builder
	want.WriteString("\n")
	for line := range strings.Lines(out) {
		want.WriteString(strings.TrimRight("    "+strings.TrimRight(line, " \n"), " ") + "\n")
	}
	want.WriteString("\n")
	if shown == want.String() {
		return
	}
	if os.Getenv("FAIRWATT_UPDATE") == "" {
		t.Errorf("docs/market.md does not show what %s prints (FAIRWATT_UPDATE=1 writes it):\n%s", name, out)
		return
	}
	if err := os.WriteFile(file, []byte(before+begin+want.String()+end+behind), 0o600); err != nil {
		t.Fatal(err)
	}
}

func isUsage(err error) bool {
	var usage usageError
	return errors.As(err, &usage)
}
