package ledger

import (
	"bytes"
	"encoding/json"
	"testing"

	"fairwatt/proto/fairwattpb"
)

// A list of a record, and a list of lists, is JSON with a comma between any two.
func TestListsAreWrittenAsJSON(t *testing.T) {
	t.Parallel()
	m := &fairwattpb.GateChange{Causes: []*fairwattpb.Cause{
		{Rule: "E01", Inputs: []*fairwattpb.CauseInput{{}, {}, {}}}, {Rule: "W03"}, {Rule: "W08"},
	}}
	var b bytes.Buffer
	if err := writeJSON(&b, m); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Causes []struct {
			Rule   string
			Inputs []any
		}
	}
	if err := json.Unmarshal(b.Bytes(), &got); err != nil || len(got.Causes) != 3 || got.Causes[2].Rule != "W08" || len(got.Causes[0].Inputs) != 3 {
		t.Errorf("%+v, %v: %s", got, err, b.String())
	}
}
