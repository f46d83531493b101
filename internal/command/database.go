package command

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"github.com/spf13/pflag"

	"github.com/holdfast-dev/holdfast/migrations"
	"github.com/holdfast-dev/holdfast/postgres"
)

// Output is the form of what a command prints.
type Output string

const (
	AsTable Output = "table"
	AsJSON  Output = "json"
)

// String implements pflag.Value.
func (o *Output) String() string { return string(*o) }

// Type implements pflag.Value.
func (o *Output) Type() string { return "table|json" }

// Set implements pflag.Value.
func (o *Output) Set(s string) error {
	if s != string(AsTable) && s != string(AsJSON) {
		return fmt.Errorf("output is %q, expected table or json", s)
	}
	*o = Output(s)
	return nil
}

// AddOutput adds --output.
func AddOutput(flags *pflag.FlagSet, into *Output) {
	*into = AsTable
	flags.VarP(into, "output", "o", "output format: table or json")
}

// PrintJSON writes a value as JSON for people.
func PrintJSON(to io.Writer, v any) error {
	encoder := json.NewEncoder(to)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// plain makes a text from the database safe for a terminal: one line, no control sequences.
func plain(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.QuoteToGraphic(s)
	}
	return s
}

// openChecked opens a database whose schema fits this release.
func openChecked(ctx context.Context, url, cluster string) (*postgres.Store, error) {
	s, err := postgres.Open(ctx, url, postgres.Options{Cluster: cluster})
	if err != nil {
		return nil, err
	}
	if err := migrations.Check(ctx, s.DB().DB); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}
