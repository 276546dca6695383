package mc

import (
	"context"
	"fmt"

	"fairwatt/proto/fairwattpb"
)

// RegisterMeter puts a participant's meter on the chain and returns when it stands
// there.
func (c *Centre) RegisterMeter(ctx context.Context, r *fairwattpb.MeterRegistration) error {
	err := c.place(ctx, &fairwattpb.Record{Body: &fairwattpb.Record_MeterRegistration{MeterRegistration: r}})
	if err != nil {
		return fmt.Errorf("register meter %s: %w", r.GetMeter(), err)
	}
	return nil
}

// ChangeMeter puts a meter in the place of another of the same owner.
func (c *Centre) ChangeMeter(ctx context.Context, m *fairwattpb.MeterChange) error {
	err := c.place(ctx, &fairwattpb.Record{Body: &fairwattpb.Record_MeterChange{MeterChange: m}})
	if err != nil {
		return fmt.Errorf("change meter %s: %w", m.GetOld(), err)
	}
	return nil
}

// RetireMeter takes a meter out of use.
func (c *Centre) RetireMeter(ctx context.Context, m *fairwattpb.MeterRetire) error {
	err := c.place(ctx, &fairwattpb.Record{Body: &fairwattpb.Record_MeterRetire{MeterRetire: m}})
	if err != nil {
		return fmt.Errorf("retire meter %s: %w", m.GetMeter(), err)
	}
	return nil
}
