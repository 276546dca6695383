package agent

import (
	"fmt"
	"slices"

	"fairwatt/model"
)

// LiveJudge returns the judge's configuration for sensors that are read: the tick,
// the alerts' prefix, the channels of all sensors that the file names, whether or
// not they came up, and these as the required inputs where the file says nothing
// of them. An empty list has to be written.
func (c *Config) LiveJudge() (model.Config, error) {
	judge := c.Judge
	judge.IntervalS = c.Tick.Seconds()
	judge.Prefix = c.Site + "-" + c.Device
	judge.Channels = slices.Clone(judge.Channels)
	for _, s := range c.Sensors {
		channels, err := s.Channels()
		if err != nil {
			return judge, fmt.Errorf("channels of %s: %w", s.Describe().Name, err)
		}
		for _, ch := range channels {
			if !slices.Contains(judge.Channels, ch) {
				judge.Channels = append(judge.Channels, ch)
			}
		}
	}
	if judge.Required == nil {
		judge.Required = requiredOf(judge.Channels)
	}
	return judge, nil
}

// requiredOf are the channels without which a live site does not trade: those of a
// replay, and the count of a lightning detector. A detector counts also while there
// is no stroke, so its silence is no calm.
func requiredOf(channels []model.Channel) []model.Channel {
	out := model.RequiredOf(channels)
	if slices.Contains(channels, model.LightningCount) {
		out = append(out, model.LightningCount)
	}
	return out
}
