//go:build unix

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/Shopify/toxiproxy/v2/toxics"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// cutAtCommit is a toxic of our own. Upstream, the request never arrives; downstream, it is done and nobody learns of it.
const cutAtCommit = "cut_at_commit"

// cut closes the connection at COMMIT instead of passing it on: the statement of the simple protocol, or the tag in the reply.
type cut struct{}

// Pipe implements toxics.Toxic.
func (*cut) Pipe(stub *toxics.ToxicStub) {
	for {
		select {
		case <-stub.Interrupt:
			return
		case chunk := <-stub.Input:
			if chunk == nil || bytes.Contains(bytes.ToUpper(chunk.Data), []byte("COMMIT\x00")) {
				stub.Close()
				return
			}
			stub.Output <- chunk
		}
	}
}

// proxied starts a proxy in front of the database and returns the URL that leads through it.
func proxied(direct string) (*toxiproxy.Proxy, string, error) {
	toxics.Register(cutAtCommit, &cut{})
	u, err := url.Parse(direct)
	if err != nil {
		return nil, "", errors.New("the database's URL can't be read")
	}
	control := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	proxy := toxiproxy.NewProxy(control, "database", "127.0.0.1:0", u.Host)
	if err := proxy.Start(); err != nil {
		return nil, "", fmt.Errorf("start the proxy: %w", err)
	}
	u.Host = proxy.Listen
	return proxy, u.String(), nil
}

func (w *world) poisonProxy(ctx context.Context, toxic, name string, hold time.Duration) error {
	if _, err := w.proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); errors.Is(err, toxiproxy.ErrToxicAlreadyExists) {
		return nil // the same fault, beside itself
	} else if err != nil {
		return fmt.Errorf("toxic %s: %w", toxic, err)
	}
	pass(ctx, hold)
	return w.proxy.Toxics.RemoveToxic(context.WithoutCancel(ctx), name)
}
