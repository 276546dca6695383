package lockup

import "testing"

func TestPredictor(t *testing.T) {
	for _, tc := range []struct {
		name  string
		steps func(p *Predictor)
		want  bool
	}{
		{"plain", func(p *Predictor) { p.deciding(5); p.delivering() }, false},
		{"aborted before it was delivered", func(p *Predictor) { p.deciding(5); p.abort(); p.delivering() }, true},
		{"decided while aborted", func(p *Predictor) { p.abort(); p.deciding(5); p.started(); p.delivering() }, true},
		{"decided in flight by the view changer", func(p *Predictor) { p.abort(); p.deciding(5) }, false},
		{"aborted after the one before", func(p *Predictor) { p.deciding(4); p.abort(); p.started(); p.deciding(5); p.delivering() }, false},
	} {
		var p Predictor
		tc.steps(&p)
		if got := p.Delivered(5); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}
