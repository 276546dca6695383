package ledger

// describer lists the fields of a value as "name type", for the format's
// documentation.
type describer struct{ lines []string }

func (d *describer) u32(name string, _ *uint32) { d.lines = append(d.lines, name+" u32") }
func (d *describer) u64(name string, _ *uint64) { d.lines = append(d.lines, name+" u64") }
func (d *describer) i64(name string, _ *int64)  { d.lines = append(d.lines, name+" i64") }
func (d *describer) str(name string, _ *string) { d.lines = append(d.lines, name+" str") }
func (d *describer) flag(name string, _ *bool)  { d.lines = append(d.lines, name+" flag") }

// StateValues describes every kind of value of the state, under its key.
func StateValues() [][2]string {
	var out [][2]string
	for _, v := range []struct {
		key string
		v   value
	}{
		{keyMeta, &meta{}},
		{keyParticipant + "ID", &Participant{}},
		{keyAccount + "ID", &Account{}},
		{keyGate + "DEVICE", &Gate{}},
		{keyMeter + "METER", &meter{}},
		{keyOffer + "SELLER", &Offer{}},
		{keyRequest + "BUYER/REQUEST", &Request{}},
		{keyTrade + "TRADE", &Trade{}},
	} {
		var d describer
		v.v.fields(&d)
		text := ""
		for i, l := range d.lines {
			if i > 0 {
				text += ", "
			}
			text += l
		}
		out = append(out, [2]string{v.key, text})
	}
	return out
}

// DecodeAny decodes b as every kind of value and encodes it again.
func DecodeAny(b []byte, check func(again []byte)) {
	for _, v := range []value{&meta{}, &Participant{}, &Account{}, &Gate{}, &meter{}, &Offer{}, &Request{}, &Trade{}} {
		if decodeValue(b, v) == nil {
			check(encodeValue(v))
		}
	}
}

// Exact is the rule a stated amount has to keep.
func Exact(amountMicro, energyWh, priceMicroPerKWh int64) bool {
	return exact(amountMicro, energyWh, priceMicroPerKWh)
}
