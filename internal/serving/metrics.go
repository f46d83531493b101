package serving

import (
	"errors"
	"net/http"

	"github.com/go-logr/logr"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/client-go/rest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

// metricsPath is what the shipped ClusterRole holdfast-metrics-reader lets one get.
const metricsPath = "/metrics"

// Metrics lets callers through to a handler of /metrics if their bearer token is the cluster's and they may `get` the non-resource URL /metrics,
// as Kubernetes' own components ask for it. Others get 401, 403 or, while the API server doesn't answer, 503.
func Metrics(cfg *rest.Config) (func(logr.Logger, http.Handler) http.Handler, error) {
	return metrics(cfg, Options{})
}

func metrics(cfg *rest.Config, o Options) (func(logr.Logger, http.Handler) http.Handler, error) {
	o.Needs = Right{Path: &authorizationv1.NonResourceAttributes{Path: metricsPath, Verb: "get"}}
	reviewer, err := NewReviewer(cfg, o)
	if err != nil {
		return nil, err
	}
	return func(log logr.Logger, next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if req.URL.Path != metricsPath { // the right to read metrics is none to whatever else was put behind it
				http.NotFound(w, req)
				return
			}
			_, err := reviewer.Review(req.Context(), Bearer(req))
			switch {
			case err == nil:
				next.ServeHTTP(w, req)
			case errors.Is(err, ErrUnauthenticated):
				w.Header().Set("WWW-Authenticate", "Bearer")
				http.Error(w, err.Error(), http.StatusUnauthorized)
			case errors.Is(err, ErrForbidden):
				http.Error(w, err.Error(), http.StatusForbidden)
			default:
				log.Info("Metrics request answered with 503: token review failed", "reason", err.Error()) // no stack: any stranger can cause it
				w.Header().Set("Retry-After", "5")
				http.Error(w, ErrUnavailable.Error(), http.StatusServiceUnavailable)
			}
		})
	}, nil
}

// MetricsFilter is Metrics for the metrics server of a controller-runtime manager.
func MetricsFilter(cfg *rest.Config, _ *http.Client) (metricsserver.Filter, error) {
	protect, err := Metrics(cfg)
	if err != nil {
		return nil, err
	}
	return func(log logr.Logger, next http.Handler) (http.Handler, error) { return protect(log, next), nil }, nil
}
