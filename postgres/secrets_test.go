package postgres_test

import (
	"context"
	"errors"
	"net/url"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	. "github.com/onsi/gomega"
	"pgregory.net/rapid"

	"github.com/holdfast-dev/holdfast/internal/testenv/secrets"
	"github.com/holdfast-dev/holdfast/migrations"
	"github.com/holdfast-dev/holdfast/postgres"
	"github.com/holdfast-dev/holdfast/relay"
)

// What the relay logs and says in an Event, and what the storage service logs, are the store's errors. No part of the password is in them, nor in what they wrap.
func TestNoErrorHasThePassword(t *testing.T) {
	server := secrets.Refusing(t, true)
	rapid.Check(t, func(t *rapid.T) {
		g := NewWithT(t)
		password := secrets.Password().Draw(t, "password")
		u := url.URL{Scheme: "postgres", User: url.UserPassword("me", password), Host: server.String(), Path: "/audit", RawQuery: "sslmode=disable"}
		s, err := postgres.Open(context.Background(), u.String(), postgres.Options{})
		g.Expect(err).NotTo(HaveOccurred())
		defer s.Close()
		_, persist := s.Persist(context.Background(), []relay.Item{{}})
		for _, err := range []error{persist, s.Ping(context.Background()), migrations.Check(context.Background(), s.DB().DB), migrations.Up(context.Background(), u.String(), nil)} {
			g.Expect(err).To(MatchError(And(ContainSubstring("28P01"), ContainSubstring("check user and password"))))
			for each := err; each != nil; each = errors.Unwrap(each) {
				g.Expect(secrets.Leak(each.Error(), password, server.String())).To(BeEmpty(), each.Error())
			}
			var failed *pgconn.ConnectError
			g.Expect(errors.As(err, &failed)).To(BeFalse(), "it has the configuration")
		}
	})
}
