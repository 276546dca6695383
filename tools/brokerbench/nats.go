//go:build !nonats

package main

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"github.com/nats-io/nats-server/v2/server"
)

func init() { brokers["nats-server"] = serveNATS }

// serveNATS is one nats-server that speaks MQTT and listens for nothing else.
func serveNATS(ctx context.Context, addr, dir string) error {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return fmt.Errorf("port of %s: %w", addr, err)
	}
	s, err := server.NewServer(&server.Options{
		ServerName: "bench", DontListen: true, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true,
		MQTT: server.MQTTOpts{Host: host, Port: port, MaxAckPending: 65535, ConsumerMemoryStorage: true},
	})
	if err != nil {
		return err
	}
	s.Start()
	<-ctx.Done()
	s.Shutdown()
	return nil
}
