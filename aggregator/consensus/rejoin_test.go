package consensus

import (
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/aggregator/consensus/guard"
	"fairwatt/aggregator/consensus/wal"
	"fairwatt/proto/peerpb"
	"fairwatt/proto/seal"

	protos "github.com/hyperledger-labs/SmartBFT/smartbftprotos"
	"google.golang.org/protobuf/proto"
)

// loseLog stops a node, removes its log of the running epoch and starts it again.
func (c *cluster) loseLog(name string) {
	c.t.Helper()
	c.stop(name)
	if err := os.RemoveAll(wal.Folder(c.dirs[name], c.apps[name].Epoch().Number)); err != nil {
		c.t.Fatal(err)
	}
	c.start(name)
}

func (c *cluster) untilVoting(names ...string) {
	c.t.Helper()
	for _, name := range names {
		c.until(name+" to vote", func() bool { return c.node(name).Stats().Voting })
	}
}

// A node whose log is lost ends the epoch and votes in the next. So the logs of
// more than f members may be lost one after the other, in what would be one epoch.
func TestLostLogsOneAfterTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, 100_000, lan)
		c.startAll()
		c.submit("da1", 100)
		c.allDecided(c.names...)
		for k, name := range []string{"da3", "da4", "da1"} {
			c.loseLog(name)
			c.untilVoting(name)
			if epoch := c.apps[name].Epoch().Number; epoch != uint64(k)+2 {
				t.Errorf("%s votes in epoch %d", name, epoch)
			}
			c.submit("da2", 100)
			c.allDecided(c.names...)
		}
	})
}

// An old log is found out by what others have heard, even where no block shows the
// vote: the votes of da4 reach no one, and its blocks are put back as well.
func TestPeersKnowAnOldFolder(t *testing.T) {
	for name, later := range map[string]uint64{"same epoch": 0, "an epoch later": 1} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { testPeersKnow(t, later) }) })
	}
}

// What a member knows of others outlasts its own restart. Of those that da4 asks, two have
// started a moment ago, and the third does not reach it.
func TestMarksOutlastARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, 100_000, lan)
		var deaf atomic.Bool // what da3 says does not reach da4
		c.sieved(func(from, to string, _ *peerpb.Frame, m *protos.Message) bool {
			if from == "da4" && m.GetCommit() != nil {
				return false // so that no block that it fetches shows its vote
			}
			return from != "da3" || to != "da4" || !deaf.Load()
		})
		c.apps["da4"].noRejoin = true
		c.startAll()
		c.submit("da1", 100)
		c.allDecided(c.names...)
		c.stop("da4")
		old, height := tempDir(t), c.apps["da4"].Height()
		if err := os.CopyFS(old, os.DirFS(c.dirs["da4"])); err != nil {
			t.Fatal(err)
		}
		c.start("da4")
		c.untilVoting("da4")
		for range 3 {
			c.submit("da1", 100)
			c.allDecided(c.names...)
		}
		time.Sleep(200 * time.Millisecond) // its mark comes with its votes, or by the clock
		c.stop("da4")
		c.putBack("da4", old, height)
		c.stop("da1")
		c.stop("da2")
		c.start("da1", "da2")
		c.untilVoting("da1", "da2")
		deaf.Store(true)
		c.start("da4")
		c.untilItFollows("da4")
	})
}

// What was kept of others is told to no one if it is not theirs: they would blame who
// tells it.
func TestMarksThatAreNotTheirs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, 1000, lan)
		marked := func(by string, m *peerpb.Mark) []byte {
			payload, err := proto.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			sealed, err := seal.Seal(c.keys[by], by, guard.DomainMark, testChain, payload)
			if err != nil {
				t.Fatal(err)
			}
			return sealed
		}
		disk := wal.Dir(c.dirs["da1"])
		for turn, marks := range []map[string][]byte{
			{"da2": marked("da3", &peerpb.Mark{Epoch: 9, Said: 9}), "da3": marked("da3", &peerpb.Mark{Epoch: 1, Said: 7}), "da9": []byte("x")},
			{"da2": []byte("no seal"), "da3": marked("da3", &peerpb.Mark{Epoch: 1, Said: 6})},
		} {
			if err := disk.PutMarks(uint64(turn), marks); err != nil {
				t.Fatal(err)
			}
		}
		n, err := New(c.config("da1", c.net.Join("da1")))
		if err != nil {
			t.Fatal(err)
		}
		n.recallMarks()
		if m := n.peer("da2").mark; m.said != 0 {
			t.Errorf("of da2: %+v", m)
		}
		if m := n.peer("da3").mark; m.epoch != 1 || m.said != 7 {
			t.Errorf("of da3: %+v", m)
		}
		// Of an epoch that is over it says nothing, by whatever key; of this one it is forged.
		if err := n.learn(marked("da2", &peerpb.Mark{Said: 9})); err != nil {
			t.Errorf("of an epoch that is over: %v", err)
		}
		if err := n.learn(marked("da2", &peerpb.Mark{Epoch: 1, Said: 9})); err == nil {
			t.Error("a mark by another was taken")
		}
	})
}

// decide has all members decide n records, one after the other, that those named send in turn.
func (c *cluster) decide(n int, senders ...string) {
	c.t.Helper()
	for k := range n {
		c.submit(senders[k%len(senders)], 100)
		c.allDecided(c.names...)
	}
}

// backup copies the folder of a member, which is down meanwhile, and tells how far its blocks went.
func (c *cluster) backup(da string) (folder string, height uint64) {
	c.t.Helper()
	c.stop(da)
	folder, height = tempDir(c.t), c.apps[da].Height()
	if err := os.CopyFS(folder, os.DirFS(c.dirs[da])); err != nil {
		c.t.Fatal(err)
	}
	c.start(da)
	c.untilVoting(da)
	return folder, height
}

// untilItFollows waits until a member has heard that its log is an old one. It does not vote.
func (c *cluster) untilItFollows(da string) {
	c.t.Helper()
	c.until(da+" to follow", func() bool {
		s := c.node(da).Stats()
		if s.Voting {
			c.t.Fatal("it votes")
		}
		return strings.Contains(s.Following, "others know of")
	})
}

// putBack gives a member that is down an old folder, and blocks up to a height. It does
// not ask for the end of the epoch.
func (c *cluster) putBack(da, old string, height uint64) {
	c.t.Helper()
	now := c.apps[da]
	c.dirs[da], c.apps[da] = old, newFakeApp(c.pubs, c.names, now.links, now.every)
	c.apps[da].self, c.apps[da].noRejoin = da, true
	for _, cb := range now.blocks[:height] {
		if _, err := c.apps[da].Commit(cb); err != nil {
			c.t.Fatal(err)
		}
	}
}

func testPeersKnow(t *testing.T, later uint64) {
	every := uint64(100_000)
	if later > 0 {
		every = 5
	}
	c := newCluster(t, 4, every, lan)
	c.sieved(func(from, _ string, _ *peerpb.Frame, m *protos.Message) bool {
		return from != "da4" || m.GetCommit() == nil
	})
	c.apps["da4"].noRejoin = true
	c.startAll()
	decide := func(n int) { c.decide(n, "da1", "da2", "da3") }
	decide(2)
	old, height := c.backup("da4")
	decide(5)
	time.Sleep(200 * time.Millisecond) // its mark comes with its votes, or by the clock
	c.stop("da4")
	c.putBack("da4", old, height)
	for range 2 { // what it has once been told, it keeps to
		c.start("da4")
		c.untilItFollows("da4")
		if epoch := c.apps["da4"].Epoch().Number; epoch != 1+later {
			t.Errorf("it follows in epoch %d", epoch)
		}
		c.stop("da4")
		for _, other := range c.names[:3] {
			c.stop(other)
		}
		c.start(c.names[:3]...)
	}
	c.untilVoting(c.names[:3]...)
	c.start("da4")
	decide(1)
	if s := c.node("da4").Stats(); s.Voting || c.apps["da4"].Epoch().Number != 1+later {
		t.Errorf("votes %v in epoch %d", s.Voting, c.apps["da4"].Epoch().Number)
	}
	c.apps["da4"].mu.Lock()
	c.apps["da4"].noRejoin = false
	c.apps["da4"].mu.Unlock()
	c.untilVoting("da4")
	decide(1)
}

// What a member did not sign does not keep another from voting.
func TestForgedMarks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, 1000, lan)
		evil := newRogue(c, "da4")
		c.start("da1", "da2", "da3")
		c.untilVoting("da1", "da2", "da3")
		n := c.node("da1")
		foreign := n.instance().mark()
		for what, yours := range map[string][]byte{
			"garbage": []byte("garbage"), "another's": c.node("da2").instance().mark(), "long": make([]byte, 1000),
		} {
			evil.send("da1", &peerpb.Frame{Sender: "da4", Body: &peerpb.Frame_Status{Status: &peerpb.Status{Told: c.node("da1").question, Yours: yours}}})
			evil.send("da1", &peerpb.Frame{Sender: "da4", Mark: yours, Body: &peerpb.Frame_Status{Status: &peerpb.Status{}}})
			time.Sleep(100 * time.Millisecond)
			if s := n.Stats(); !s.Voting {
				t.Errorf("%s: %+v", what, s)
			}
		}
		evil.send("da1", &peerpb.Frame{Sender: "da4", Mark: foreign, Body: &peerpb.Frame_Status{Status: &peerpb.Status{Yours: foreign}}})
		c.submit("da2", 100)
		c.allDecided("da1", "da2", "da3")
		if s := n.Stats(); s.RefusedBy["malformed"] == 0 || s.RefusedBy["forged_mark"] == 0 || s.RefusedBy["oversized"] == 0 {
			t.Errorf("refused: %v", s.RefusedBy)
		}
	})
}

// resumeAll lets stopped nodes state that they resume above their newest block, and
// gives each the statements of all.
func (c *cluster) resumeAll(round uint64, names ...string) error {
	var all []string
	for _, name := range names {
		cfg := c.config(name, nil)
		r, err := Resuming(cfg, c.apps[name].Height(), round)
		if err != nil {
			return err
		}
		line, err := SignResumption(cfg, r)
		if err != nil {
			return err
		}
		all = append(all, "# "+r.String(), line)
	}
	for _, name := range names {
		if err := KeepResumption(c.config(name, nil), []byte(strings.Join(all, "\n"))); err != nil {
			return err
		}
	}
	return nil
}

func (c *cluster) loseAll(names ...string) {
	c.t.Helper()
	for _, name := range names {
		c.stop(name)
		if err := os.RemoveAll(wal.Folder(c.dirs[name], c.apps[name].Epoch().Number)); err != nil {
			c.t.Fatal(err)
		}
	}
}

// The logs of more members than may fail are lost at once: no block can come, and
// the DAs say so. By the operators' word they go on, above the newest block, which
// one of them alone had. It works a second time in the same epoch, but in a new
// round only.
func TestResumeAfterAllLogsAreLost(t *testing.T) {
	for name, lost := range map[string]int{"two of four": 2, "all": 4} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { testResume(t, lost) }) })
	}
}

func testResume(t *testing.T, lost int) {
	c := newCluster(t, 4, 100_000, lan)
	for _, app := range c.apps {
		app.noRejoin = true // or the epoch would end, and no second round be needed
	}
	c.startAll()
	c.submit("da1", 100)
	c.allDecided(c.names...)
	c.stop("da3")
	c.submit("da1", 100)
	c.allDecided("da1", "da2", "da4")
	for round := uint64(1); round <= 2; round++ {
		c.loseAll(c.names[4-lost:]...)
		for _, name := range c.names {
			c.stop(name)
		}
		c.start(c.names...)
		h := c.apps["da1"].Height()
		c.submit("da1", 100)
		time.Sleep(20 * time.Second)
		for k, name := range c.names {
			if got := c.apps[name].Height(); got != h {
				t.Fatalf("%s is at block %d, want %d", name, got, h)
			}
			if k >= 4-lost && c.node(name).Stats().Following == "" {
				t.Errorf("%s does not say that it follows", name)
			}
		}
		c.stopAll()
		c.sent = c.sent[:len(c.sent)-1] // what waits in memory goes with it
		if round == 2 {
			if err := c.resumeAll(1, c.names...); err == nil || !strings.Contains(err.Error(), "round: 1, but") {
				t.Fatalf("round 1 a second time: %v", err)
			}
		}
		if err := c.resumeAll(round, c.names...); err != nil {
			t.Fatal(err)
		}
		c.start(c.names...)
		c.untilVoting(c.names...)
		c.submit("da2", 100)
		c.allDecided(c.names...)
		if view := c.apps["da3"].header(t, c.apps["da3"].Height()).View; view < viewOfRound(round, 4) {
			t.Errorf("decided in view %d", view)
		}
		for _, name := range c.names { // and a restart changes nothing
			c.stop(name)
			c.start(name)
			c.untilVoting(name)
		}
		c.submit("da3", 100)
		c.allDecided(c.names...)
	}
	// A member of which the log is lost again does not resume by the old word.
	c.loseAll("da2")
	c.start("da2")
	c.until("da2 to follow", func() bool { return c.node("da2").Stats().Following != "" })
	c.apps["da2"].mu.Lock()
	c.apps["da2"].noRejoin = false
	c.apps["da2"].mu.Unlock()
	c.untilVoting("da2")
	if epoch := c.apps["da2"].Epoch().Number; epoch != 2 {
		t.Errorf("votes in epoch %d", epoch)
	}
	c.submit("da3", 100)
	c.allDecided(c.names...)
}

// A statement is a promise: one alone keeps its DA from voting, and so does what
// cannot be read. Those that do not fit each other or the chain are refused.
func TestResumptionRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, 100_000, lan)
		for _, app := range c.apps {
			app.noRejoin = true
		}
		c.startAll()
		for range 3 {
			c.submit("da1", 100)
			c.allDecided(c.names...)
		}
		c.stop("da4")
		c.submit("da1", 100)
		c.allDecided("da1", "da2", "da3")
		c.stopAll()
		refuse := func(what, want string, err error) {
			t.Helper()
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", what, err, want)
			}
		}
		h := c.apps["da1"].Height()
		_, err := Resuming(c.config("da1", nil), h-1, 1)
		refuse("a block given up", "no block may be given up", err)
		_, err = Resuming(c.config("da4", nil), h, 1)
		refuse("a laggard", "holds blocks up to", err)
		_, err = Resuming(c.config("da1", nil), h, 0)
		refuse("no round", "round: 0", err)
		refuse("two heights", "all must name the same height", func() error {
			if err := c.resumeAll(1, "da1", "da4"); err != nil {
				return err
			}
			text, err := os.ReadFile(c.dirs["da1"] + "/resume")
			if err != nil {
				return err
			}
			_, _, err = ReadResumption(text, testChain, c.pubs)
			return err
		}())
		_, _, err = ReadResumption([]byte("# nothing"), testChain, c.pubs)
		refuse("none", "no statement", err)
		_, _, err = ReadResumption([]byte("!"), testChain, c.pubs)
		refuse("garbage", "line 1: ", err)
		line, err := SignResumption(c.config("da2", nil), Resumption{Epoch: 1, Height: h, View: 1 << 34})
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = ReadResumption([]byte(line), [32]byte{1}, c.pubs)
		refuse("another chain", "of this chain", err)

		for what, text := range map[string]string{
			"da1": "garbage", "da2": line, // one alone; garbage
			"da3": line + "\n" + line, // twice the same
		} {
			if err := KeepResumption(c.config(what, nil), []byte(text)); err != nil {
				t.Fatal(err)
			}
		}
		c.start(c.names...)
		time.Sleep(10 * time.Second)
		for name, want := range map[string]string{"da1": "line 1: ", "da2": "of da2 alone, want 3", "da3": "of da2 alone, want 3"} {
			if s := c.node(name).Stats(); s.Voting || !strings.Contains(s.Following, want) {
				t.Errorf("%s votes %v, follows %q", name, s.Voting, s.Following)
			}
		}
		c.stopAll()
		// Another chain's block: the statement names a hash that is not da1's.
		for _, name := range c.names {
			if err := KeepResumption(c.config(name, nil), []byte(c.alike(Resumption{Epoch: 1, Height: h, View: viewOfRound(1, 4)}))); err != nil {
				t.Fatal(err)
			}
		}
		c.start(c.names...)
		c.until("da1 to refuse", func() bool { return strings.Contains(c.node("da1").Stats().Following, "another block") })
		c.stopAll()
		// Statements of less than the newest block: it was decided before.
		low, err := hashAt(c.config("da1", nil), h-1)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range c.names {
			if err := KeepResumption(c.config(name, nil), []byte(c.alike(Resumption{Epoch: 1, Height: h - 1, Block: low, View: viewOfRound(1, 4)}))); err != nil {
				t.Fatal(err)
			}
		}
		c.start(c.names...)
		c.until("da1 to refuse", func() bool { return strings.Contains(c.node("da1").Stats().Following, "decided before") })
		c.sameChain(c.names...)
	})
}

// alike is a statement signed by all.
func (c *cluster) alike(r Resumption) string {
	var all []string
	for _, name := range c.names {
		line, err := SignResumption(c.config(name, nil), r)
		if err != nil {
			c.t.Fatal(err)
		}
		all = append(all, line)
	}
	return strings.Join(all, "\n")
}

// A round counts once, also where no block came of it: a member may have voted in
// it, and then have lost its log.
func TestRoundCountsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, 100_000, lan)
		for _, app := range c.apps {
			app.noRejoin = true
		}
		c.startAll()
		c.submit("da1", 100)
		c.allDecided(c.names...)
		c.loseAll(c.names...)
		if err := c.resumeAll(1, c.names...); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(c.dirs["da1"] + "/resume")
		if err != nil {
			t.Fatal(err)
		}
		c.startAll()
		c.loseAll(c.names...)
		if err := c.resumeAll(1, c.names...); err == nil || !strings.Contains(err.Error(), "has resumed in round 1 of epoch 1") {
			t.Fatalf("stated again: %v", err)
		}
		for _, name := range c.names {
			if err := KeepResumption(c.config(name, nil), text); err != nil {
				t.Fatal(err)
			}
		}
		c.start(c.names...)
		for _, name := range c.names {
			c.until(name+" to follow", func() bool {
				return strings.Contains(c.node(name).Stats().Following, "has resumed in round 1 of epoch 1")
			})
		}
		c.stopAll()
		if err := c.resumeAll(2, c.names...); err != nil {
			t.Fatal(err)
		}
		c.startAll()
		c.submit("da2", 100)
		c.allDecided(c.names...)
	})
}

// What a block or a prepare tells of how much its member has said counts where nothing
// else of it came through: put back as it was before, the member does not make another
// block for that place, nor prepares one.
func TestABlockTellsOfAnOldFolder(t *testing.T) {
	for da, says := range map[string]func(f *peerpb.Frame, m *protos.Message) bool{
		"da1": func(f *peerpb.Frame, _ *protos.Message) bool { return f.GetRelay() != nil },
		"da4": func(_ *peerpb.Frame, m *protos.Message) bool { return m.GetPrepare() != nil },
	} {
		t.Run(da, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { testTellsOfAnOldFolder(t, da, says) }) })
	}
}

func testTellsOfAnOldFolder(t *testing.T, da string, says func(f *peerpb.Frame, m *protos.Message) bool) {
	c := newCluster(t, 4, 100_000, lan)
	var alone, said atomic.Bool
	c.sieved(func(from, _ string, f *peerpb.Frame, m *protos.Message) bool {
		if from != da || !alone.Load() {
			return true
		}
		said.Store(said.Load() || says(f, m))
		return says(f, m)
	})
	c.apps[da].noRejoin = true
	c.startAll()
	c.submit("da1", 100)
	c.allDecided(c.names...)
	c.stop(da)
	old := tempDir(t)
	if err := os.CopyFS(old, os.DirFS(c.dirs[da])); err != nil {
		t.Fatal(err)
	}
	c.start(da)
	c.untilVoting(da)
	c.until("da1 to lead", func() bool { return c.node(da).Stats().Leader == "da1" })
	time.Sleep(200 * time.Millisecond) // what it has said until now is known
	alone.Store(true)
	c.submit("da1", 100)
	c.until("a word of it", said.Load)
	c.stop(da)
	alone.Store(false)
	c.putBack(da, old, 1)
	c.start(da)
	c.until("it to follow", func() bool {
		s := c.node(da).Stats()
		if s.Voting {
			t.Fatal("it votes")
		}
		return strings.Contains(s.Following, "others know of")
	})
}
