package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// healthTimeout is how long the page may take to answer.
const healthTimeout = 5 * time.Second

func healthCommand() *cobra.Command {
	var config string
	cmd := &cobra.Command{
		Use:   "health --config FILE",
		Short: "Say whether a running data aggregator is well",
		Long: `Ask the page of the data aggregator on this machine whether it is well, and print
what its /healthz says. It ends with 0 if it is, and with 1 and why if it takes no
part or no block can come. Containers, which have no curl, ask in this way.`,
		Example: "  aggregator da health --config community/da-1/da.yaml",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c := newDAConfig()
			if err := readConfig(config, &c); err != nil {
				return err
			}
			if c.HTTP == "" {
				return fmt.Errorf("%s sets no http, so that there is no page to ask: set http: 127.0.0.1:8080", config)
			}
			address, err := localAddress(c.HTTP)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), healthTimeout)
			defer cancel()
			said, err := askHealth(ctx, address)
			if err != nil {
				return fmt.Errorf("data aggregator %s: %w", c.ID, err)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), said)
			return err
		},
	}
	cmd.Flags().StringVar(&config, "config", "", "configuration file (YAML)")
	return cmd
}

// maxHealthBytes bounds what is read of an answer.
const maxHealthBytes = 4096

// askHealth returns what a page says of its data aggregator. One that is not well is an
// error with what it says.
func askHealth(ctx context.Context, address string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/healthz", nil)
	if err != nil {
		return "", err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close() // read only: nothing to lose
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxHealthBytes))
	if err != nil {
		return "", err
	}
	said := strings.TrimSpace(string(body))
	if answer.StatusCode != http.StatusOK {
		return "", fmt.Errorf("not well: %s: %s", answer.Status, said)
	}
	return said, nil
}

// localAddress is where this machine reaches what listens at an address: one that
// listens on all addresses is reached by loopback.
func localAddress(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", fmt.Errorf("http %q: %w", listen, err)
	}
	switch ip := net.ParseIP(host); {
	case host == "" || ip != nil && ip.Equal(net.IPv4zero):
		host = "127.0.0.1"
	case ip != nil && ip.Equal(net.IPv6unspecified):
		host = "::1"
	}
	return net.JoinHostPort(host, port), nil
}
