package reportsapi

import (
	"context"
	"net/http"

	"github.com/holdfast-dev/holdfast/internal/serving/httpapi"
	"github.com/holdfast-dev/holdfast/models"
	"github.com/holdfast-dev/holdfast/postgres"
)

const entriesPage, entriesMost = 100, 500

// entries answers with the entries of one resource.
func (s *Server) entries(x *httpapi.Exchange, r *request) *httpapi.Problem {
	uid, err := models.UUID(x.Param("uid"))
	limit := r.number("limit", entriesPage, 1, entriesMost)
	after := placeOf[postgres.EntryPlace](r.params, uid)
	if after != nil {
		if _, err := models.UUID(after.ID); err != nil {
			r.fault("next", "is no cursor of this list")
		}
	}
	if refused := r.refused(); refused != nil {
		return refused
	}
	if err != nil {
		return notFound("resource of this uid")
	}
	var all []postgres.Entry
	refused := s.read(r, func(ctx context.Context, q *postgres.Snapshot) (err error) {
		all, err = q.Entries(ctx, uid, after, limit+1)
		return err
	})
	switch {
	case refused != nil:
		return refused
	case len(all) == 0 && after == nil:
		return notFound("resource of this uid")
	}
	next := ""
	if len(all) > limit {
		all = all[:limit]
		next = cursorOf(all[limit-1].Place(), uid)
	}
	return s.writePage(x, next, func(add func(any) *httpapi.Problem) *httpapi.Problem {
		for i := range all {
			if refused := add(&all[i]); refused != nil {
				return refused
			}
		}
		return nil
	})
}

// resources answers with the uids that a name has had.
func (s *Server) resources(x *httpapi.Exchange, r *request) *httpapi.Problem {
	kind, name := r.text("kind"), r.text("name")
	if name == "" && len(r.faults) == 0 {
		r.fault("name", "is missing, expected the name of a resource")
	}
	namespace := ""
	if len(r.namespaces) > 1 {
		r.fault("namespace", "is given %d times, expected once, or not at all for a kind that is in no namespace", len(r.namespaces))
	} else if len(r.namespaces) == 1 {
		namespace = r.namespaces[0]
	}
	if refused := r.refused(); refused != nil {
		return refused
	}
	kind = models.EntryKind(kind)
	var all []postgres.Resource
	if refused := s.read(r, func(ctx context.Context, q *postgres.Snapshot) (err error) {
		all, err = q.Resources(ctx, kind, namespace, name)
		return err
	}); refused != nil {
		return refused
	}
	httpapi.WriteJSON(x, http.StatusOK, "application/json", map[string]any{"items": all})
	return nil
}
