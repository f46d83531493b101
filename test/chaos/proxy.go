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

// Toxics of our own, which close the connection where something is said instead of passing it on. cutAtCommit is for both directions: upstream, the
// request never arrives; downstream, it is done and nobody learns of it. cutAtAnswer is that of HTTP.
const (
	cutAtCommit = "cut_at_commit"
	cutAtAnswer = "cut_at_answer"
)

// Types of their own, without fields: toxiproxy makes a new value of the type for each toxic.
type (
	cutCommit struct{}
	cutAnswer struct{}
)

// Pipe implements toxics.Toxic. What is looked for is the statement of the simple protocol, or the tag in the reply.
func (*cutCommit) Pipe(stub *toxics.ToxicStub) { cut(stub, "COMMIT\x00") }

// Pipe implements toxics.Toxic.
func (*cutAnswer) Pipe(stub *toxics.ToxicStub) { cut(stub, "HTTP/1.1 200 ") }

func cut(stub *toxics.ToxicStub, at string) {
	for {
		select {
		case <-stub.Interrupt:
			return
		case chunk := <-stub.Input:
			if chunk == nil || bytes.Contains(bytes.ToUpper(chunk.Data), []byte(at)) {
				stub.Close()
				return
			}
			stub.Output <- chunk
		}
	}
}

// proxied starts a proxy in front of the database and returns the URL that leads through it.
func proxied(direct string) (*toxiproxy.Proxy, string, error) {
	u, err := url.Parse(direct)
	if err != nil {
		return nil, "", errors.New("the database's URL can't be read")
	}
	proxy, err := newProxy("database", u.Host)
	if err != nil {
		return nil, "", err
	}
	u.Host = proxy.Listen
	return proxy, u.String(), nil
}

func newProxy(name, upstream string) (*toxiproxy.Proxy, error) {
	toxics.Register(cutAtCommit, &cutCommit{})
	toxics.Register(cutAtAnswer, &cutAnswer{})
	control := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	proxy := toxiproxy.NewProxy(control, name, "127.0.0.1:0", upstream)
	if err := proxy.Start(); err != nil {
		return nil, fmt.Errorf("start the proxy of the %s: %w", name, err)
	}
	return proxy, nil
}

func poison(ctx context.Context, proxy *toxiproxy.Proxy, toxic, name string, hold time.Duration) error {
	if _, err := proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); errors.Is(err, toxiproxy.ErrToxicAlreadyExists) {
		return nil // the same fault, beside itself
	} else if err != nil {
		return fmt.Errorf("toxic %s: %w", toxic, err)
	}
	pass(ctx, hold)
	return proxy.Toxics.RemoveToxic(context.WithoutCancel(ctx), name)
}
