package aggregator

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"fairwatt/aggregator/console"
	"fairwatt/proto/mqtt"
)

// A measuredPipe counts how often its broker was connected and how long the broker
// takes to acknowledge.
type measuredPipe struct {
	mqtt.Pipe
	name     string
	took     *console.Histogram
	connects atomic.Uint64
}

// Publish implements mqtt.Pipe. At QoS 0 nothing is acknowledged, and nothing measured.
func (p *measuredPipe) Publish(ctx context.Context, topic string, qos byte, retained bool, payload []byte) error {
	began := time.Now()
	err := p.Pipe.Publish(ctx, topic, qos, retained, payload)
	if err == nil && qos > 0 {
		p.took.Observe(time.Since(began))
	}
	return err
}

// measure puts the counting around the pipes and makes the measures of the DA.
func (d *DA) measure() {
	m := console.NewMeasures()
	m.AuthorityEnds = d.deps.AuthorityEnds
	m.Disk = func() (console.Disk, error) { return diskOf(d.cfg.Dir) }
	pipes := make([]*measuredPipe, len(d.deps.Pipes))
	all := make([]mqtt.Pipe, len(pipes))
	for i, p := range d.deps.Pipes {
		pipes[i] = &measuredPipe{Pipe: p, name: fmt.Sprint(i + 1), took: m.BrokerDelivery}
		if i < len(d.deps.BrokerNames) {
			pipes[i].name = d.deps.BrokerNames[i]
		}
		p.OnUp(func() { pipes[i].connects.Add(1) })
		all[i] = pipes[i]
	}
	d.deps.Pipes = all
	m.Brokers = func() []console.Broker {
		out := make([]console.Broker, len(pipes))
		for i, p := range pipes {
			out[i] = console.Broker{Name: p.name, Connected: p.Connected(), Connects: p.connects.Load()}
		}
		return out
	}
	d.measures = m
}

// diskOf measures a data folder: each file of it, and each folder as a whole.
func diskOf(dir string) (console.Disk, error) {
	disk := console.Disk{Bytes: make(map[string]int64)}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !e.Type().IsRegular() {
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return nil // it went since the folder was read: a log's file does
		}
		inside, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		first, _, _ := strings.Cut(filepath.ToSlash(inside), "/")
		disk.Bytes[first] += info.Size()
		return nil
	})
	if err != nil {
		return disk, fmt.Errorf("measure the data folder: %w", err)
	}
	disk.FreeBytes, disk.SizeBytes = roomOf(dir)
	return disk, nil
}
