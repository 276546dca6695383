package sensor

import (
	"errors"
	"os"
	"path"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/model"
)

// A tree is a /sys in memory. A file in stuck answers when it is taken out.
type tree struct {
	fakeBuses
	mu    sync.Mutex
	files map[string]string
	stuck chan struct{}
	reads int
}

func (x *tree) Glob(pattern string) (out []string, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for name := range x.files {
		if ok, err := path.Match(pattern, name); err != nil {
			return nil, err
		} else if ok {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out, nil
}

func (x *tree) ReadFile(name string) ([]byte, error) {
	x.mu.Lock()
	text, ok := x.files[name]
	stuck := x.stuck
	x.reads++
	x.mu.Unlock()
	if stuck != nil {
		<-stuck
	}
	if !ok {
		return nil, os.ErrNotExist
	}
	if text == "EIO" {
		return nil, errIO
	}
	return []byte(text), nil
}

var errIO = errors.New("input/output error")

// hwmon gives thousandths, iio raw numbers with an offset and a scale of its own, w1 a
// text with a checksum; a file that is missing, doubled, broken or no number fails.
func TestSysfsReadsFiles(t *testing.T) {
	files := map[string]string{
		"/sys/bus/i2c/devices/1-0040/hwmon/hwmon3/in1_input": "12345\n", "/sys/class/hwmon/hwmon0/temp1_input": "41500\n", "/sys/class/hwmon/hwmon1/temp1_input": "39000\n",
		"/sys/bus/iio/devices/iio:device0/in_temp_raw": "512\n", "/sys/bus/iio/devices/iio:device0/in_temp_offset": "-12\n", "/sys/bus/iio/devices/iio:device0/in_temp_scale": "40\n",
		"/sys/bus/iio/devices/iio:device1/in_voltage0_raw": "1000\n", "/sys/bus/iio/devices/iio:device1/in_voltage_scale": "0.125\n",
		"/sys/bus/iio/devices/iio:device2/in_pressure_input": "101.325\n", "/sys/bus/iio/devices/iio:device3/in_temp_raw": "5\n", "/sys/bus/iio/devices/iio:device3/in_temp_scale": "EIO",
		"/sys/bus/w1/devices/28-0316a279f5ff/w1_slave": "2d 00 4b 46 ff ff 02 10 19 : crc=19 YES\n2d 00 4b 46 ff ff 02 10 19 t=22562\n",
		"/sys/bus/w1/devices/28-0316a279f5fe/w1_slave": "2d 00 4b 46 ff ff 02 10 19 : crc=19 NO\n2d 00 4b 46 ff ff 02 10 19 t=22562\n",
		"/sys/a/cut": "", "/sys/a/text": "on\n", "/sys/a/nan": "nan\n", "/sys/a/eio": "EIO", "/sys/a/w1_slave": "crc=19 YES\n",
	}
	for _, c := range []struct {
		name, file string
		want       float64
		err        error
	}{
		{"hwmon", "{channel: dc_voltage_v, path: /sys/bus/i2c/devices/1-0040/hwmon/hwmon*/in1_input, scale: 0.001}", 12.345, nil},
		{"iio raw", "{channel: temperature_c, path: '/sys/bus/iio/devices/iio:device0/in_temp_raw', scale: 0.001}", 20, nil},
		{"iio raw, scale of the type", "{channel: dc_voltage_v, path: '/sys/bus/iio/devices/iio:device1/in_voltage0_raw', scale: 0.001}", 0.125, nil},
		{"iio input", "{channel: pressure_hpa, path: '/sys/bus/iio/devices/iio:device2/in_pressure_input', scale: 10}", 1013.25, nil},
		{"iio, scale cannot be read", "{channel: temperature_c, path: '/sys/bus/iio/devices/iio:device3/in_temp_raw'}", 0, errIO},
		{"w1", "{channel: temperature_c, path: /sys/bus/w1/devices/28-0316a279f5ff/w1_slave, scale: 0.001, offset: 0.5}", 23.062, nil},
		{"w1, wrong checksum", "{channel: temperature_c, path: /sys/bus/w1/devices/28-0316a279f5fe/w1_slave, scale: 0.001}", 0, ErrChecksum},
		{"w1, half", "{channel: temperature_c, path: /sys/a/w1_slave}", 0, ErrSkipped},
		{"two fit", "{channel: temperature_c, path: /sys/class/hwmon/hwmon*/temp1_input}", 0, ErrWrongChip},
		{"none fits", "{channel: temperature_c, path: /sys/class/hwmon/hwmon*/temp2_input}", 0, ErrNoChip},
		{"empty", "{channel: temperature_c, path: /sys/a/cut}", 0, ErrSkipped}, {"text", "{channel: temperature_c, path: /sys/a/text}", 0, ErrSkipped},
		{"NaN", "{channel: temperature_c, path: /sys/a/nan}", 0, ErrSkipped}, {"broken", "{channel: temperature_c, path: /sys/a/eio}", 0, errIO},
	} {
		cfg, err := parse("kind: sysfs\nfiles: [" + c.file + "]")
		if err != nil {
			t.Fatal(err)
		}
		d, err := New(cfg, &tree{files: files})
		if err != nil {
			t.Fatal(err)
		}
		var s model.Sample
		ch := d.Channels()[0]
		s.Set(ch, 7)
		err = d.Read(t.Context(), &s)
		if v, ok := s.Get(ch); ok != (c.err == nil) || ok && (v-c.want > 1e-9 || c.want-v > 1e-9) || !errors.Is(err, c.err) {
			t.Errorf("%s: %g %v, %v", c.name, v, ok, err)
		}
		if err := d.Halt(); err != nil {
			t.Error(err)
		}
	}
}

// A file that does not answer is given up in time, waited for by one goroutine only,
// and read again when it has answered. Its late answer counts for nothing.
func TestSysfsStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := &tree{files: map[string]string{"/sys/a": "5"}, stuck: make(chan struct{})}
		cfg, err := parse("kind: sysfs\ntimeout: 100ms\nfiles: [{channel: temperature_c, path: /sys/a}]")
		if err != nil {
			t.Fatal(err)
		}
		d, err := New(cfg, x)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			var s model.Sample
			start := time.Now()
			if err := d.Read(t.Context(), &s); !errors.Is(err, ErrNotReady) || time.Since(start) != 100*time.Millisecond || s.Validity[model.TemperatureC] != model.SensorError {
				t.Errorf("after %v: %v, %v", time.Since(start), err, s.Validity[model.TemperatureC])
			}
		}
		x.mu.Lock()
		if x.reads != 1 {
			t.Errorf("%d reads at once", x.reads)
		}
		x.files["/sys/a"] = "6" // the stuck read has 5 in its hand
		stuck := x.stuck
		x.stuck = nil
		x.mu.Unlock()
		close(stuck)
		synctest.Wait()
		var s model.Sample
		err = d.Read(t.Context(), &s)
		if v, ok := s.Get(model.TemperatureC); !ok || v != 6 || err != nil {
			t.Errorf("it answers again: %g %v, %v", v, ok, err)
		}
	})
}
