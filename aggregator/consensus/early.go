package consensus

import (
	protos "github.com/hyperledger-labs/SmartBFT/smartbftprotos"
	"google.golang.org/protobuf/proto"
)

// Members come to a view change one after the other, on a busy machine seconds apart.
// Who is there tells the next leader its view data, and the leader tells all the new
// view, once. The library drops both where it has not come so far, and nobody says them
// again before the change is given up. So they wait here.

// early is what one member has said for a view change that this node has not come to.
type early struct {
	view uint64
	msg  *protos.Message
}

// changes is the view that a message of a view change is about: view data or a new view
// that the guard has let pass.
func changes(m *protos.Message) (view uint64, ok bool) {
	svd := m.GetViewData()
	if entries := m.GetNewView().GetSignedViewData(); len(entries) > 0 {
		svd = entries[0] // all are for one view
	}
	vd := &protos.ViewData{}
	if svd == nil || proto.Unmarshal(svd.GetRawViewData(), vd) != nil {
		return 0, false
	}
	return vd.GetNextView(), true
}

// waits keeps a message that is early, the newest of each member, and reports whether
// it did.
func (i *instance) waits(sender uint64, m *protos.Message) bool {
	view, ok := changes(m)
	if !ok || view <= max(i.view.Load(), i.log.changing.Load()) {
		return false
	}
	i.keepMu.Lock()
	defer i.keepMu.Unlock()
	if i.early[sender].view < view {
		i.early[sender] = early{view, m}
	}
	return true
}

// arrived returns, by sender, what waited for the view that this node has given its own
// view data for, and drops what has come too late.
func (i *instance) arrived() map[uint64]*protos.Message {
	at, view := i.log.changing.Load(), i.view.Load()
	i.keepMu.Lock()
	defer i.keepMu.Unlock()
	var out map[uint64]*protos.Message
	for sender, e := range i.early {
		if e.view > max(at, view) {
			continue
		}
		if e.view == at && at > view {
			if out == nil {
				out = make(map[uint64]*protos.Message)
			}
			out[sender] = e.msg
		}
		delete(i.early, sender)
	}
	return out
}
