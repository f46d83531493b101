package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/pprof"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap/zapcore"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/postgres"
)

// measure is one thing that is measured. It adds rows to the report, and gives up when its context ends.
type measure struct {
	name  string
	limit time.Duration
	run   func(context.Context, *bench) error
}

var measures = []measure{
	{"overhead", 12 * time.Minute, overhead},
	{"latency", 3 * time.Minute, latency},
	{"apiwrites", 2 * time.Minute, apiWrites},
	{"database", 3 * time.Minute, database},
	{"schema", 3 * time.Minute, schemaCost},
	{"backlog", 6 * time.Minute, backlog},
	{"scale", 8 * time.Minute, scale},
	{"remediation", 3 * time.Minute, remediation},
	{"storage", 3 * time.Minute, storageAPI},
	{"gateway", 4 * time.Minute, gatewayAlerts},
	{"shards", 8 * time.Minute, shards},
	{reportsMeasure, 15 * time.Minute, reports},
	{pluginMeasure, 20 * time.Minute, pluginVerbs},
}

// bench is what the measures share.
type bench struct {
	env    *testenv.Env
	report *report
	// tickets are audited, controls are not.
	tickets, controls served
	// quick shrinks everything, to try the program itself; full adds what takes long.
	quick, full bool
	program     string // bin/holdfast
	database    string // for reports, instead of one of its own
	rows        int    // for reports; 0 for 10⁶, or 10⁷ with full
	databases   int
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() (err error) {
	only := flag.String("only", "", "measures to run, separated by commas (default: all)")
	out := flag.String("json", "bench.json", "file for the figures")
	profile := flag.String("cpuprofile", "", "file for a CPU profile of this process")
	b := &bench{}
	flag.BoolVar(&b.quick, "quick", false, "a tenth of the load, to try the program")
	flag.BoolVar(&b.full, "full", false, "50,000 live resources and 10 million rows in addition")
	flag.StringVar(&b.program, "program", "bin/holdfast", "holdfast binary to measure")
	flag.StringVar(&b.database, "database", "", "database URL for the measure reports, which is filled unless it has rows (default: a database of its own)")
	flag.IntVar(&b.rows, "rows", 0, "rows of the measure reports (default: a million, or ten with -full)")
	flag.Parse()
	chosen, err := choose(*only)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// As a manager logs, but to nowhere. The first logger stays, so this comes before testenv's.
	ctrl.SetLogger(zap.New(zap.WriteTo(io.Discard), zap.Level(zapcore.InfoLevel)))
	if slices.ContainsFunc(chosen, func(m measure) bool { return m.name == "remediation" }) {
		// Nothing is measured yet: where they have to be compiled, it takes minutes.
		if err := localcluster.Prepare(ctx, localcluster.Full, os.Stderr); err != nil {
			return err
		}
	}
	if b.env, err = testenv.Start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.env.Stop()) }()
	if err := b.install(ctx); err != nil {
		return err
	}
	if *profile != "" {
		file, err := os.Create(*profile)
		if err != nil {
			return err
		}
		defer file.Close()
		if err := pprof.StartCPUProfile(file); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	if b.report, err = newReport(ctx, b.env); err != nil {
		return err
	}
	b.measure(ctx, chosen)
	b.report.writeTable(os.Stdout)
	return b.report.writeJSON(*out)
}

// measure runs them one after the other. One that fails says so in the report, and the others go on.
func (b *bench) measure(ctx context.Context, chosen []measure) {
	for _, m := range chosen {
		if ctx.Err() != nil {
			return
		}
		begin := time.Now()
		fmt.Fprintf(os.Stderr, "bench: %s ...\n", m.name)
		limit := m.limit
		if b.full {
			limit *= 6 // filling a table with 10 million rows takes longest
		}
		limited, cancel := context.WithTimeout(ctx, limit)
		// The API server keeps the events of the last minute or so in memory, tens of thousands after a measure of rates. Its writes then take up to a second for two seconds of every
		// five: its garbage collection, which makes those who allocate help.
		err := b.env.Cluster.RestartAPIServer(limited)
		if err == nil {
			err = b.awaitFinalizers(limited)
		}
		if err == nil {
			err = m.run(limited, b)
		}
		cancel()
		if err != nil {
			b.report.fail(m.name, err)
		}
		fmt.Fprintf(os.Stderr, "bench: %s took %s\n", m.name, time.Since(begin).Round(time.Second))
		b.report.Seconds[m.name] = time.Since(begin).Round(time.Second).Seconds()
	}
}

func choose(only string) ([]measure, error) {
	if only == "" {
		return measures, nil
	}
	var chosen []measure
	for name := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(measures, func(m measure) bool { return m.name == name })
		if i < 0 {
			var names []string
			for _, m := range measures {
				names = append(names, m.name)
			}
			return nil, fmt.Errorf("-only names %q, expected some of %s", name, strings.Join(names, ", "))
		}
		chosen = append(chosen, measures[i])
	}
	return chosen, nil
}

// size is n, or a tenth of it for a try.
func (b *bench) size(n int) int {
	if b.quick {
		return max(1, n/10)
	}
	return n
}

// rounds is n, or two for a try.
func (b *bench) rounds(n int) int {
	if b.quick {
		return min(n, 2)
	}
	return n
}

// newDatabase makes one of its own, with the schema, and returns its URL.
func (b *bench) newDatabase(ctx context.Context) (string, error) {
	b.databases++
	return b.env.Database(ctx, fmt.Sprintf("bench_%d", b.databases))
}

// newStore is a store on a database of its own.
func (b *bench) newStore(ctx context.Context) (*postgres.Store, error) {
	url, err := b.newDatabase(ctx)
	if err != nil {
		return nil, err
	}
	return postgres.Open(ctx, url, postgres.Options{})
}

// connectNew makes a database of its own, and connects to it.
func (b *bench) connectNew(ctx context.Context) (url string, c *pgx.Conn, err error) {
	if url, err = b.newDatabase(ctx); err != nil {
		return "", nil, err
	}
	c, err = pgx.Connect(ctx, url)
	return url, c, err
}
