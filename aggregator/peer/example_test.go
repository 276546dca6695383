package peer_test

import (
	"context"
	"fmt"
	"time"

	"fairwatt/aggregator/peer"
)

// Two ends of a network in memory. Over gRPC only the making differs.
func ExampleMemory() {
	network := peer.NewMemory(peer.MemoryConfig{Seed: 1})
	one, two := network.Join("da1"), network.Join("da2")

	ctx, cancel := context.WithCancel(context.Background())
	ready, got, done := make(chan struct{}, 1), make(chan string), make(chan error)
	go func() {
		done <- two.Run(ctx, peer.Handlers{Frame: func(from string, frame []byte) {
			if string(frame) == "are you there?" {
				select {
				case ready <- struct{}{}:
				default:
				}
				return
			}
			got <- fmt.Sprintf("%s says %s", from, frame)
		}})
	}()
	ask := time.NewTicker(time.Millisecond)
	defer ask.Stop()
	for up := false; !up; { // what is sent to one that does not run yet is lost
		select {
		case <-ask.C:
			one.Send("da2", []byte("are you there?"))
		case <-ready:
			up = true
		}
	}
	one.Send("da2", []byte("hello"))
	fmt.Println(<-got)
	cancel()
	fmt.Println(<-done)
	// Output:
	// da1 says hello
	// <nil>
}
