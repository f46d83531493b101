package verify

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strconv"
)

// digest is what was seen so far, hashed: of a chain, all its entries from the first on. So whatever changes there later changes it.
type digest [sha256.Size]byte

// with goes on with more, each part apart.
func (d digest) with(parts ...string) digest {
	h := sha256.New()
	h.Write(d[:])
	for _, part := range parts {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		h.Write(length[:])
		h.Write([]byte(part))
	}
	return digest(h.Sum(nil))
}

// and adds to what was seen of a finding.
func (f Finding) and(parts ...string) Finding {
	f.state = f.state.with(parts...)
	return f
}

// seen binds an acknowledgement to the finding, and to what the trail was when it was made.
func (f *Finding) seen() string {
	d := f.state.with(string(f.Problem), f.Table, f.ID, f.Cluster, f.Namespace, f.Name, f.UID, strconv.FormatInt(f.Sequence, 10))
	return hex.EncodeToString(d[:])
}
