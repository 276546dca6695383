package lockup

import (
	"testing"
	"testing/synctest"
)

func TestTurnstile(t *testing.T) {
	for _, tc := range []struct {
		name string
		ask  string
		took []string // what the controller says meanwhile
		want bool     // the second asker passes
	}{
		{"abort taken", signAskAbort, []string{signToAbort}, true},
		{"abort not taken", signAskAbort, nil, false},
		{"a change aborts by itself", signAskAbort, []string{signTookAsk, signToAbort}, false},
		{"a rotation aborts by itself", signAskAbort, []string{signRotates, signToAbort}, false},
		{"a sync aborts by itself, then the asked one", signAskAbort, []string{signSyncs, signToAbort, signToAbort}, true},
		{"a change of nothing, then the asked one", signAskAbort, []string{signTookAsk, signRuns, signToAbort}, true},
		{"an old change, then the asked one", signAskAbort, []string{signSyncs, signOld, signToAbort}, true},
		{"view taken", signAskBegin, []string{signTookAsk}, true},
		{"view not taken", signAskBegin, []string{signToAbort}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ts, ended := NewTurnstile(), make(chan struct{})
				if !ts.Pass(tc.ask, ended) {
					t.Fatal("the first does not pass")
				}
				passed := make(chan bool, 1)
				go func() { passed <- ts.Pass(tc.ask, ended) }()
				synctest.Wait()
				if len(passed) > 0 {
					t.Fatal("the second passes before the first was taken")
				}
				for _, sign := range tc.took {
					ts.Pass(sign, ended)
				}
				synctest.Wait()
				if got := len(passed) > 0; got != tc.want {
					t.Errorf("second passes: %v, want %v", got, tc.want)
				}
				close(ended)
				if got := <-passed; got != tc.want {
					t.Errorf("after the end: %v, want %v", got, tc.want)
				}
				if ts.Pass(tc.ask, ended) {
					t.Error("passes after the end")
				}
			})
		})
	}
}
