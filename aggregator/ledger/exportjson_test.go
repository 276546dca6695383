package ledger

import (
	"bytes"
	"encoding/json"
	"testing"

	"google.golang.org/protobuf/types/dynamicpb"

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

// An export lists a record's fields by their numbers, in whatever order the
// library visits them: a message made at run time keeps them in a map.
func TestFieldsAreWrittenByTheirNumbers(t *testing.T) {
	t.Parallel()
	m := &fairwattpb.MeterReading{Meter: "m", RegisterWh: 2, TimeMs: 3}
	var want bytes.Buffer
	if err := writeJSON(&want, m); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		shuffled := dynamicpb.NewMessage(m.ProtoReflect().Descriptor())
		for _, f := range []string{"time_ms", "meter", "register_wh"} {
			field := m.ProtoReflect().Descriptor().Fields().ByTextName(f)
			shuffled.Set(field, m.ProtoReflect().Get(field))
		}
		var got bytes.Buffer
		if err := writeJSON(&got, shuffled); err != nil || got.String() != want.String() {
			t.Fatalf("%s, %v; want %s", got.String(), err, want.String())
		}
	}
}
