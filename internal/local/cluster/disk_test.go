//go:build unix

package cluster

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	. "github.com/onsi/gomega"
)

func TestAFullDiskRefusesWritesUntilThereIsRoom(t *testing.T) {
	g, ctx := NewWithT(t), t.Context()
	p, err := StartPostgres(ctx, PostgresOptions{Progress: t.Output(), DiskMiB: 200})
	if errors.Is(err, ErrNoDisk) {
		t.Skip("NOT TRIED: full disks: ", err)
	}
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { g.Expect(p.Close()).To(Succeed()) })
	execSQL(ctx, t, p.URL(), "CREATE TABLE pages (content text)")
	g.Expect(p.FillDisk()).To(Succeed())
	const insert = "INSERT INTO pages SELECT repeat('x', 1000) FROM generate_series(1, 100)"
	c, err := pgx.Connect(ctx, p.URL())
	g.Expect(err).NotTo(HaveOccurred())
	_, err = c.Exec(ctx, insert)
	var refused *pgconn.PgError
	g.Expect(errors.As(err, &refused)).To(BeTrue(), "%v", err)
	g.Expect(refused.Code).To(Equal("53100"), "disk_full")
	g.Expect(p.FreeDisk()).To(Succeed())
	_, err = c.Exec(ctx, insert)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(c.Close(ctx)).To(Succeed())
}
