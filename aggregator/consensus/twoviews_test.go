package consensus

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/proto/peerpb"

	protos "github.com/hyperledger-labs/SmartBFT/smartbftprotos"
	"google.golang.org/protobuf/proto"
)

// The next leader makes two new views of what it was told, which differ in its own word alone:
// one brings the block that the leader before it had made, one brings none. It shows each to
// one member and falls silent. The others come to an end of it: with it silent they are just a
// quorum.
func TestTwoNewViewsOfOneView(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, 1000, lan)
		var mended atomic.Bool
		c.sieved(func(_, _ string, f *peerpb.Frame, m *protos.Message) bool { // no one hears of the block of da1
			return mended.Load() || f.GetRelay() == nil && m.GetPrepare() == nil
		})
		evil := newLiar(t, c, "da2")
		c.start("da1", "da3", "da4")
		honest := []string{"da1", "da3", "da4"}
		for _, da := range honest {
			c.until(da+" to vote", func() bool { return c.node(da).Stats().Voting })
			c.submit(da, 100)
		}
		c.until("the view data of all", func() bool { return len(evil.heard()) == 3 })
		told := evil.heard()
		of := func(da string) *protos.ViewData {
			vd := &protos.ViewData{}
			if err := proto.Unmarshal(told[da].GetRawViewData(), vd); err != nil {
				t.Fatal(err)
			}
			return vd
		}
		block := of("da1").GetInFlightProposal()
		if block == nil || of("da3").GetInFlightProposal() != nil || of("da4").GetInFlightProposal() != nil {
			t.Fatal("the block of da1 is not with da1 alone")
		}
		none := evil.viewData(2, &protos.ViewData{NextView: 1, LastDecision: &protos.Proposal{}})
		some := evil.viewData(2, &protos.ViewData{NextView: 1, LastDecision: &protos.Proposal{}, InFlightProposal: block, InFlightPrepared: true})
		with := &protos.NewView{SignedViewData: []*protos.SignedViewData{some, told["da1"], told["da3"]}}
		without, err := proto.Marshal(&protos.NewView{SignedViewData: []*protos.SignedViewData{none, told["da3"], told["da4"]}})
		if err != nil {
			t.Fatal(err)
		}
		evil.message("da4", "da2", 1, &protos.Message{Content: &protos.Message_NewView{NewView: with}})
		evil.send("da1", &peerpb.Frame{Epoch: 1, Sender: "da2", Body: &peerpb.Frame_NewView{NewView: without}})
		mended.Store(true)
		begin := time.Now()
		c.wait = time.Minute
		c.allDecided(honest...)
		t.Logf("decided after %v", time.Since(begin))
	})
}
