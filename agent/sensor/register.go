package sensor

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"fairwatt/model"
)

// ErrJump is the reason for an energy register that went back, or further than
// the meter can have counted: it was reset or exchanged, it began again from
// zero, or a number was read wrong. What is counted does not jump with it.
var ErrJump = errors.New("the energy register jumped")

// A register follows the energy register that a meter keeps itself. What it says
// never goes back, and goes no further than maxPowerW allows: where the meter
// jumps, the count stays and goes on from the meter's new reading.
//
// A meter goes on counting while the agent is away. What it counted then is
// counted, unless it shows less than before, or more than maxPowerW gives in a
// month.
type register struct {
	clock     Clock
	maxPowerW float64
	stepWh    float64 // of the meter; some change it as they count
	wasStepWh float64 // of faceWh

	countWh, faceWh float64       // ours, and the meter's own
	at, changed     time.Duration // when it was read; when it last was another
	began           bool          // faceWh was read or restored
	read            bool          // it was read: at is known
}

// maxPowerW is the default for meters, as much as a large house or a small plant.
const maxPowerW = 100e3

// awayFor is how long a meter may have counted while the agent was away.
const awayFor = 31 * 24 * time.Hour

// checkMaxPower checks the setting that meters with an own register have.
func checkMaxPower(w float64) error {
	if !within(w, 1, 1e9) {
		return fmt.Errorf("max_power_w: %g is not within 1 and 1000000000", w)
	}
	return nil
}

// renewedIn is the longest that a meter takes to renew its register while it counts.
const renewedIn = time.Hour

// take reads the meter's register and returns ours, both in Wh.
func (r *register) take(faceWh float64) (float64, error) { return r.takeAt(faceWh, r.clock.Now()) }

func (r *register) takeAt(faceWh float64, now time.Duration) (float64, error) {
	if !within(faceWh, 0, model.EnergyExportWh.Info().Max) {
		return r.countWh, fmt.Errorf("an energy register of %g Wh is not within 0 and %g", faceWh, model.EnergyExportWh.Info().Max)
	}
	if !r.began {
		r.countWh, r.faceWh, r.at, r.changed, r.began, r.read, r.wasStepWh = faceWh, faceWh, now, now, true, true, r.stepWh
		return r.countWh, nil
	}
	// The meter's own clock is another, and some renew their register by the minute.
	since := now - r.at + min(r.at-r.changed, renewedIn) + time.Second
	if !r.read {
		since = awayFor
	}
	step := max(r.stepWh, r.wasStepWh)
	counted, most := faceWh-r.faceWh, r.maxPowerW*since.Hours()+2*step
	if -step <= counted && counted < 0 {
		counted, faceWh = 0, r.faceWh // a last digit that trembles
	}
	was := r.faceWh
	if faceWh != was || !r.read {
		r.changed = now
	}
	r.faceWh, r.at, r.read, r.wasStepWh = faceWh, now, true, r.stepWh
	if counted < 0 || counted > most {
		return r.countWh, fmt.Errorf("%w: from %g to %g Wh, where max_power_w allows %g more; counting goes on from there", ErrJump, was, faceWh, math.Floor(most))
	}
	r.countWh += counted
	return r.countWh, nil
}

// EnergyWh is the register in whole Wh as of the last Read. It never goes back.
func (r *register) EnergyWh() uint64 { return uint64(r.countWh) }

// FaceWh is what the meter itself shows, in whole Wh.
func (r *register) FaceWh() uint64 { return uint64(r.faceWh) }

// RestoreRegister sets the register to what it was when it was last persisted.
func (r *register) RestoreRegister(wh uint64) { r.RestoreFace(wh, wh) }

// RestoreFace does so with what the meter showed then.
func (r *register) RestoreFace(wh, faceWh uint64) {
	r.countWh, r.faceWh, r.began, r.read = float64(wh), float64(faceWh), true, false
}

// set reads a meter's register into the channel.
func (r *register) set(s *model.Sample, c model.Channel, faceWh float64) error {
	wh, err := r.take(faceWh)
	if err != nil {
		s.Fail(c, model.SensorError)
		return err
	}
	s.SetStep(c, wh, r.stepWh)
	return nil
}

// billing returns the channel of the energy that bills, of a sensor's channels.
// Only a sensor that gives one register is a meter: with two it would not be
// said which one counts.
func billing(channels []model.Channel) (model.Channel, bool) {
	export, imported := slices.Contains(channels, model.EnergyExportWh), slices.Contains(channels, model.EnergyImportWh)
	if imported {
		return model.EnergyImportWh, !export
	}
	return model.EnergyExportWh, export
}

// Bills says whether the sensor is a meter whose register may bill: it gives one
// energy channel. The error names what is missing.
func (c Config) Bills() error {
	channels, err := c.Channels()
	if err != nil {
		return err
	}
	export, imported := slices.Contains(channels, model.EnergyExportWh), slices.Contains(channels, model.EnergyImportWh)
	switch {
	case export && imported:
		return errors.New("gives energy_export_wh and energy_import_wh; name a sensor that gives one of them (channels: [...])")
	case !export && !imported:
		return errors.New("gives neither energy_export_wh nor energy_import_wh")
	}
	return nil
}
