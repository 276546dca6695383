package agent

import (
	"testing"

	"fairwatt/agent/contactor/drive"
	"fairwatt/proto/fairwattpb"
)

// An offer says what switches the power: nothing, a contactor, or one that is
// looked at.
func TestOfferTellsTheContactor(t *testing.T) {
	input := uint16(0)
	for _, c := range []struct {
		config *drive.Config
		want   fairwattpb.Contactor
	}{
		{nil, fairwattpb.Contactor_CONTACTOR_NONE},
		{&drive.Config{None: true}, fairwattpb.Contactor_CONTACTOR_NONE},
		{&drive.Config{Pin: "GPIO22"}, fairwattpb.Contactor_CONTACTOR_UNWATCHED},
		{&drive.Config{Pin: "GPIO22", Feedback: "GPIO27"}, fairwattpb.Contactor_CONTACTOR_WATCHED},
		{&drive.Config{Endpoint: "relay:502", Coil: &input}, fairwattpb.Contactor_CONTACTOR_UNWATCHED},
		{&drive.Config{Endpoint: "relay:502", Coil: &input, FeedbackInput: &input}, fairwattpb.Contactor_CONTACTOR_WATCHED},
	} {
		if got := contactorPB(c.config); got != c.want {
			t.Errorf("%+v: %v, want %v", c.config, got, c.want)
		}
	}
}
