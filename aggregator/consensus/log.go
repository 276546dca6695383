package consensus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"runtime"
	"time"

	"fairwatt/aggregator/consensus/lockup"

	"google.golang.org/protobuf/proto"
)

// logger gives the library's messages to slog. Its warnings tell of things
// that are normal in a fail-over, so they go down one level; debug and info
// are not even formatted (that alone cost three quarters of the throughput).
// The lockup predictor and the turnstile read some of them.
type logger struct {
	log       *slog.Logger
	fail      func(error)
	ended     <-chan struct{} // closed when the instance has ended
	signs     *lockup.Predictor
	turnstile *lockup.Turnstile
	inFlight  *lockup.InFlight
}

func (l *logger) Debugf(format string, _ ...any) {
	l.signs.Debugf(format)
	l.unlock(format)
	if !l.turnstile.Pass(format, l.ended) {
		runtime.Goexit() // the view changer: nobody takes what it would send
	}
}

func (l *logger) Infof(format string, args ...any) {
	l.signs.Infof(format, args...)
	l.unlock(format)
}

// unlock ends the instance where the library has locked itself up.
func (l *logger) unlock(format string) {
	if l.inFlight.Note(format) {
		l.fail(errors.New("smartbft gave up waiting for a block that was just decided"))
	}
}

func (l *logger) Warnf(format string, args ...any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug(fmt.Sprintf(format, short(args)...), "from", "smartbft")
	}
}

func (l *logger) Errorf(format string, args ...any) {
	l.log.Warn(fmt.Sprintf(format, short(args)...), "from", "smartbft")
}

// short makes what the library prints bounded: a message may hold blocks, and
// whoever sends one would fill the disk with log lines.
func short(args []any) []any {
	out := make([]any, len(args))
	for i, a := range args {
		switch a := a.(type) {
		case nil, error, bool, int, int32, int64, uint, uint32, uint64, float64, time.Duration, time.Time, []uint64, []int:
			out[i] = a
		case string:
			out[i] = cutText(a)
		case proto.Message:
			out[i] = fmt.Sprintf("%T of %d bytes", a, proto.Size(a))
		case []byte:
			out[i] = fmt.Sprintf("%d bytes", len(a))
		default:
			out[i] = fmt.Sprintf("%T", a)
			if v := reflect.ValueOf(a); v.CanInt() || v.CanUint() {
				out[i] = a // a number with a name of its own
			}
		}
	}
	return out
}

const shortText = 200

func cutText(s string) string {
	if len(s) > shortText {
		return s[:shortText] + "..."
	}
	return s
}

// Panicf is how the library stops when it finds its own state impossible. The
// instance is given up and its goroutine ended, not the process.
func (l *logger) Panicf(format string, args ...any) {
	l.fail(fmt.Errorf("smartbft: "+format, short(args)...))
	runtime.Goexit()
}
