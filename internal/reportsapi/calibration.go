package reportsapi

import (
	"context"
	"time"

	"golang.org/x/sync/singleflight"
	"k8s.io/apimachinery/pkg/util/cache"

	"github.com/holdfast-dev/holdfast/internal/serving/httpapi"
	"github.com/holdfast-dev/holdfast/postgres"
	"github.com/holdfast-dev/holdfast/rar"
)

// calibrations remember how often investigators were right before a day. It is a query over a month of rows, and its result is the same for every report of that day and reader. Only rows that
// arrive late, from a relay that was away, can change it. So it is no part of a report's snapshot.
type calibrations struct {
	known    *cache.LRUExpireCache // calibrationKey → []rar.CalibrationBin
	inFlight singleflight.Group
}

const (
	calibrationsKept = 512
	calibrationLasts = 10 * time.Minute
	// calibrationTimeout: a report without calibration is better than none. A query that took longer is not repeated before calibrationLasts.
	calibrationTimeout = 3 * time.Second
)

func newCalibrations() *calibrations {
	return &calibrations{known: cache.NewLRUExpireCache(calibrationsKept)}
}

type calibrationKey struct {
	reader string
	day    time.Time
}

// calibrate adds how often investigators were right in the month before the day of the investigation.
func (s *Server) calibrate(r *request, in *rar.Input) *httpapi.Problem {
	analysis := rar.Analysis(in)
	if analysis == nil {
		return nil
	}
	day := analysis.InvestigationStartedAt.UTC().Truncate(24 * time.Hour)
	key := calibrationKey{r.caller.Readable.Key(), day}
	if known, ok := s.calibrations.known.Get(key); ok {
		in.Calibration = known.([]rar.CalibrationBin)
		return nil
	}
	found, _, _ := s.calibrations.inFlight.Do(key.reader+day.String(), func() (any, error) { return s.readCalibration(r, key), nil })
	c := found.(calibration)
	in.Calibration = c.bins
	return c.refused
}

// calibration is what was read, or why it could not be.
type calibration struct {
	bins    []rar.CalibrationBin
	refused *httpapi.Problem
}

func (s *Server) readCalibration(r *request, key calibrationKey) (c calibration) {
	c.bins = []rar.CalibrationBin{}
	late := false
	others := *r // which wait for the same result
	others.Request = r.WithContext(context.WithoutCancel(r.Context()))
	c.refused = s.read(&others, func(ctx context.Context, q *postgres.Snapshot) error {
		soon, cancel := context.WithTimeout(ctx, calibrationTimeout)
		defer cancel()
		found, err := q.Calibration(soon, key.day.Add(-rar.CalibrationWindow), key.day, key.day)
		for _, b := range found {
			c.bins = append(c.bins, rar.CalibrationBin{Investigator: b.Investigator, Model: b.Model, Bin: b.Bin, N: b.N, Labelled: b.Labelled, Success: b.Success})
		}
		late = err != nil && ctx.Err() == nil && soon.Err() != nil
		return err
	})
	if late {
		s.log.Info("Calibration query timed out, reports go without it", "day", key.day)
		c = calibration{}
	}
	if c.refused == nil {
		s.calibrations.known.Add(key, c.bins, calibrationLasts)
	}
	return c
}
