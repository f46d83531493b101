package plugin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"
)

func newConsoleCommand(c *cluster) *cobra.Command {
	var (
		in     scope
		from   reports
		port   int
		noOpen bool
	)
	cmd := &cobra.Command{
		Use:   "console",
		Short: "Show the pages of the report service in a browser, until Ctrl-C",
		Long: `Show the pages of the report service in a browser: remediations, their reports, and trends. The pages are
those of the namespace; with -A, of all.

The command serves them on this machine only, at an address with a key that opens a session. It puts the
token on each request to the service, and no page ever has it. It only reads. A browser is opened if there is
one.

Exit status: 0 ended with Ctrl-C, 2 the pages could not be served.`,
		Example: `  kubectl holdfast console -n shop
  kubectl holdfast console -A --no-open --port 8080`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if port < 0 || port > 65535 {
				return fmt.Errorf("--port is %d, expected 0 (any that is free) to 65535", port)
			}
			namespace, err := c.namespaceOf(in)
			if err != nil {
				return err
			}
			way, err := from.route(cmd.Context(), c, namespace)
			if err != nil {
				return err
			}
			defer way.close()
			return c.console(cmd.Context(), way, namespace, port, !noOpen)
		},
	}
	in.addFlags(cmd)
	_ = cmd.Flags().MarkHidden("selector") // rows have no labels
	from.addFlags(cmd)
	cmd.Flags().IntVar(&port, "port", 0, "port on this machine (0: any that is free)")
	cmd.Flags().BoolVar(&noOpen, "no-open", false, "open no browser")
	return cmd
}

// consoleTimeout bounds the wait for answers that are being sent when the command is interrupted.
const consoleTimeout = 5 * time.Second

// console serves until the context ends, which is the end that people want.
func (c *cluster) console(ctx context.Context, way *route, namespace string, port int, open bool) error {
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return fmt.Errorf("--port is %d, which cannot be listened on: %w; without --port one is taken that is free", port, err)
	}
	pages, err := newConsole(way, listener.Addr().String())
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	start := "/"
	if namespace != "" {
		start = "/?" + url.Values{"namespace": {namespace}}.Encode()
	}
	server := &http.Server{Handler: pages, ReadHeaderTimeout: consoleTimeout, ErrorLog: silent()}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	fmt.Fprintf(c.streams.Out, "The pages are at %s\nCtrl-C ends.\n", pages.address(pages.keys.lasting, start))
	if open {
		if err := openBrowser(ctx, pages.address(pages.keys.first, start)); err != nil {
			fmt.Fprintf(c.streams.ErrOut, "No browser was opened (%v): open the address yourself.\n", err)
		}
	}
	select {
	case err := <-served:
		return fmt.Errorf("serve the pages: %w", err)
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), consoleTimeout)
	defer cancel()
	if server.Shutdown(ending) != nil {
		_ = server.Close() // whoever still waits for an answer gets none
	}
	return nil
}
