package ledger

// maxStrikes bounds for how many epochs a data aggregator that keeps failing
// stands last: 2^(maxStrikes-1).
const maxStrikes = 6

// nextOrder gives m the order of the next epoch, of the communication tree's
// sequence. view is the view in which
// the epoch's last block was decided. Leaders of earlier views failed; each gets
// a strike. A failed leader stands behind the others for one epoch after its
// first strike in a row, for two after its second, then four, up to 32. So a
// dead root costs a fail-over ever more seldom, and one that is back is tried
// again. A leader of an epoch's last block loses its strikes. More than n-1
// views mean that every other leader failed.
//
// Who comes in, or comes back, begins without strikes. Who is guilty stands behind all
// others, those that failed too: a machine that is down comes back.
func nextOrder(m *meta, view uint64, sequence []int, next *roster, guilty []bool) {
	n := uint64(len(m.Order))
	strikes, failed := make([]byte, len(next.all)), make([]byte, len(next.all))
	copy(strikes, m.Strikes)
	copy(failed, m.Failed)
	for i := range failed {
		failed[i] -= min(failed[i], 1)
	}
	strikes[m.Order[view%n]] = 0
	for v := view - min(view, n-1); v < view; v++ {
		i := m.Order[v%n]
		strikes[i] = min(strikes[i]+1, maxStrikes)
		failed[i] = 1 << (strikes[i] - 1)
	}
	for i := range next.all {
		if next.all[i].Epoch == m.Epoch+1 {
			strikes[i], failed[i] = 0, 0
		}
	}
	order := make([]byte, 0, len(sequence))
	for _, row := range []struct{ failed, guilty bool }{{false, false}, {true, false}, {false, true}, {true, true}} {
		for _, i := range sequence {
			if (failed[i] > 0) == row.failed && guilty[i] == row.guilty {
				order = append(order, byte(i))
			}
		}
	}
	m.Order, m.Strikes, m.Failed = string(order), string(strikes), string(failed)
}
