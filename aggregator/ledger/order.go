package ledger

// maxStrikes bounds how long a data aggregator that keeps failing stands last:
// 2^(maxStrikes-1) epochs.
const maxStrikes = 6

// nextOrder gives m the sequence of the epoch that begins, after one whose last
// block was decided in a view. Who led a view before that one failed: it gets a
// strike and stands behind the others for one epoch, for two after the second
// strike in a row, then four, up to 32, so that a dead root costs a fail-over
// ever more seldom and one that is back is tried again. Leading an epoch to its
// end wipes the strikes out. More than n-1 views mean that everybody but the one
// who got through failed.
func (s *State) nextOrder(m *meta, view uint64) {
	n := uint64(len(m.Order))
	strikes, benched := []byte(m.Strikes), []byte(m.Benched)
	for i := range benched {
		benched[i] -= min(benched[i], 1)
	}
	strikes[m.Order[view%n]] = 0
	for v := view - min(view, n-1); v < view; v++ {
		i := m.Order[v%n]
		strikes[i] = min(strikes[i]+1, maxStrikes)
		benched[i] = 1 << (strikes[i] - 1)
	}
	order := make([]byte, 0, n)
	for _, last := range []bool{false, true} {
		for _, i := range s.sequence {
			if (benched[i] > 0) == last {
				order = append(order, byte(i))
			}
		}
	}
	m.Order, m.Strikes, m.Benched = string(order), string(strikes), string(benched)
}
