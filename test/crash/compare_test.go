package crash

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/types"
)

// row is what the database holds of one entry.
type row struct {
	id, previous, hash, text string
	dead                     bool
}

// stored are the rows and dead letters of one resource, by sequence. It fails when a sequence is there twice.
func stored(uid types.UID) (map[int64]row, error) {
	const columns = `sequence, id::text, coalesce(encode(previous_hash, 'hex'), ''), encode(entry_hash, 'hex'), entry`
	var parts []string
	for _, table := range []string{"orchestration_audit", "ai_analysis_audit", "workflow_execution_audit", "notification_audit", "audit_dead_letter"} {
		parts = append(parts, fmt.Sprintf(`SELECT %s, %t FROM %s WHERE source_uid = $1`, columns, table == "audit_dead_letter", table))
	}
	rows, err := database.QueryContext(ctx, strings.Join(parts, " UNION ALL "), string(uid))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := map[int64]row{}
	for rows.Next() {
		var sequence int64
		var r row
		if err := rows.Scan(&sequence, &r.id, &r.previous, &r.hash, &r.text, &r.dead); err != nil {
			return nil, err
		}
		if _, twice := found[sequence]; twice {
			return nil, fmt.Errorf("entry %d of %s is there twice", sequence, uid)
		}
		found[sequence] = r
	}
	return found, rows.Err()
}

// compare holds the database to what was seen: the same entries, no other, gapless, each once, with their hashes.
func (v *witness) compare(w *world, s *scenario) {
	v.mu.Lock()
	defer v.mu.Unlock()
	appended := 0
	for uid, h := range v.records {
		of := kindOf(h.newest) + " " + h.newest.GetName()
		w.Expect(h.gone).To(BeTrue(), of)
		there, err := stored(uid)
		w.Expect(err).NotTo(HaveOccurred(), of)
		w.Expect(there).To(HaveLen(int(h.last)), "rows and dead letters of %s", of)
		previous := ""
		for n := int64(1); n <= h.last; n++ {
			entry, seen := h.entries[n]
			w.Expect(seen).To(BeTrue(), "entry %d of %s was appended without being seen", n, of)
			r := there[n]
			w.Expect(r.id).To(Equal(entry.ID), "entry %d of %s", n, of)
			w.Expect(r.hash).To(Equal(entry.Hash), "entry %d of %s", n, of)
			w.Expect(entry.PreviousHash).To(Equal(previous), "entry %d of %s", n, of)
			w.Expect(r.dead).To(Equal(n == s.dead[h.newest.GetName()]), "whether entry %d of %s is a dead letter: %s", n, of, r.text)
			if !r.dead {
				sum := sha256.Sum256([]byte(r.text))
				w.Expect(hex.EncodeToString(sum[:])).To(Equal(r.hash), "entry %d of %s", n, of)
				w.Expect(r.previous).To(Equal(previous), "entry %d of %s", n, of)
			}
			previous = entry.Hash
			appended++
		}
	}
	w.Expect(appended).NotTo(BeZero())
}
