package breakglass

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"k8s.io/apimachinery/pkg/types"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// Format names the files, FormatVersion their form.
const (
	Format        = "holdfast-export"
	FormatVersion = 1
)

// Header is the first line of an export.
type Header struct {
	Format        string `json:"format"`
	FormatVersion int    `json:"formatVersion"`
	// Version of Holdfast that wrote it.
	Version string `json:"version"`
	// Cluster is the manager's --cluster-name, which rows have as source_cluster; Server is the API server's address.
	Cluster string    `json:"cluster"`
	Server  string    `json:"server"`
	Time    time.Time `json:"time"`
	// Resources that had entries, and how many entries follow.
	Resources int `json:"resources"`
	Entries   int `json:"entries"`
}

// Line is one entry.
type Line struct {
	// Kind is the resource's kind in Kubernetes; the entry has the kind of its record.
	Kind     string `json:"kind"`
	Resource string `json:"resource"`
	Source   Source `json:"source"`
	// Sequence follows from the entry's position in the outbox, and Hash from the entry after it or the outbox's head.
	Sequence int64           `json:"sequence"`
	Hash     string          `json:"hash"`
	Entry    outboxapi.Entry `json:"entry"`
}

// Source is entry.Source in JSON. Its creation time is part of the entry's id.
type Source struct {
	Namespace string    `json:"namespace,omitempty"`
	Name      string    `json:"name"`
	UID       types.UID `json:"uid"`
	Created   time.Time `json:"created"`
}

// File gathers an export. Entries lie on the disk meanwhile, since outboxes may hold more than memory.
type File struct {
	header Header
	body   *os.File
	to     *bufio.Writer
}

// NewFile begins an export that is going to be path; "" is for one that is only copied. Close it when done.
func NewFile(path string, h Header) (*File, error) {
	dir := ""
	if path != "" {
		if _, err := os.Lstat(path); err == nil {
			return nil, fmt.Errorf("%s exists and may hold the only copy of some entries; give another file", path)
		}
		dir = filepath.Dir(path)
	}
	body, err := os.CreateTemp(dir, ".holdfast-export-*") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("create the export file: %w", err)
	}
	h.Format, h.FormatVersion = Format, FormatVersion
	return &File{header: h, body: body, to: bufio.NewWriter(body)}, nil
}

// Header says what was added so far.
func (f *File) Header() Header { return f.header }

// Add takes over the entries of a resource.
func (f *File) Add(r *Resource) error {
	if r.Outbox == nil || len(r.Outbox.Entries) == 0 {
		return nil
	}
	f.header.Resources++
	s := Source{Namespace: r.Source.Namespace, Name: r.Source.Name, UID: r.Source.UID, Created: r.Source.Created.UTC()}
	for i, p := 0, entry.PendingOf(r.Source.UID, r.Outbox); i < p.Len(); i++ {
		f.header.Entries++
		if err := writeLine(f.to, Line{Kind: r.Kind, Resource: r.Type(), Source: s, Sequence: p.Sequence(i), Hash: p.Hash(i), Entry: p.Text(i)}); err != nil {
			return fmt.Errorf("write the entries of %s: %w", r, err)
		}
	}
	return nil
}

// CopyTo writes the export.
func (f *File) CopyTo(to io.Writer) error {
	if err := errors.Join(writeLine(to, f.header), f.to.Flush()); err != nil {
		return fmt.Errorf("write the export: %w", err)
	}
	if _, err := f.body.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read the exported entries: %w", err)
	}
	if _, err := io.Copy(to, f.body); err != nil {
		return fmt.Errorf("write the export: %w", err)
	}
	return nil
}

// Save puts the export at path, on the disk when it returns.
func (f *File) Save(path string) error {
	whole, err := os.CreateTemp(filepath.Dir(path), ".holdfast-export-*")
	if err != nil {
		return fmt.Errorf("create the export file: %w", err)
	}
	defer os.Remove(whole.Name())
	defer whole.Close()
	if err := f.CopyTo(whole); err != nil {
		return err
	}
	if err := errors.Join(whole.Sync(), whole.Close()); err != nil {
		return fmt.Errorf("sync the export to disk: %w", err)
	}
	// Not a rename: that would replace a file that somebody else has put there meanwhile.
	if err := os.Link(whole.Name(), path); err != nil {
		return fmt.Errorf("move the export to its file (an existing file is not replaced): %w", err)
	}
	return syncFolder(filepath.Dir(path))
}

// syncFolder makes a new name survive a power failure.
func syncFolder(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("sync the directory of the export to disk: %w", err)
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return fmt.Errorf("sync the directory of the export to disk: %w", err)
	}
	return nil
}

// Close removes what was only needed on the way.
func (f *File) Close() error { return errors.Join(f.body.Close(), os.Remove(f.body.Name())) }

func writeLine(to io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = to.Write(append(text, '\n'))
	return err
}

// maxLine is the longest line that is read; etcd's limit of a request is 1.5 MiB.
const maxLine = 4 << 20

// LineError is a line that could not be read.
type LineError struct {
	Number int
	Err    error
}

func (b *LineError) Error() string { return fmt.Sprintf("line %d: %v", b.Number, b.Err) }

// Read hands the header of an export to begin, each entry to visit, and each line that cannot be read to bad. It fails when the file is none, or begin or visit
// fails; that it was cut off is a bad line, the one after its last.
func Read(from io.Reader, begin func(Header) error, visit func(number int, l Line) error, bad func(*LineError)) (Header, error) {
	lines := bufio.NewScanner(from)
	lines.Buffer(make([]byte, 0, 64<<10), maxLine)
	h, err := readHeader(lines)
	if err != nil {
		return h, err
	}
	if err := begin(h); err != nil {
		return h, err
	}
	number, found := 1, 0
	for lines.Scan() {
		number++
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		found++
		l, err := decodeLine(lines.Bytes())
		if err != nil {
			bad(&LineError{Number: number, Err: err})
			continue
		}
		if err := visit(number, l); err != nil {
			return h, err
		}
	}
	if err := lines.Err(); err != nil {
		bad(&LineError{Number: number + 1, Err: fmt.Errorf("%w; the rest of the file was not read", err)})
	} else if found != h.Entries {
		bad(&LineError{Number: number + 1, Err: fmt.Errorf("the file has %d entries, its header says %d; the file is truncated or was altered", found, h.Entries)})
	}
	return h, nil
}

func readHeader(lines *bufio.Scanner) (h Header, _ error) {
	if !lines.Scan() {
		return h, errors.Join(errors.New("the file is empty, expected a file of `holdfast export`"), lines.Err())
	}
	if err := json.Unmarshal(lines.Bytes(), &h); err != nil || h.Format != Format {
		return h, fmt.Errorf("line 1 is not a header, expected {\"format\":%q,…} as written by `holdfast export`", Format)
	}
	if h.FormatVersion != FormatVersion {
		return h, fmt.Errorf("the file has format version %d, this release supports %d; import it with the release that wrote it (%s)", h.FormatVersion, FormatVersion, h.Version)
	}
	return h, nil
}

func decodeLine(text []byte) (l Line, _ error) {
	if err := json.Unmarshal(text, &l); err != nil {
		return l, fmt.Errorf("not an entry: %w", err)
	}
	switch {
	case l.Source.UID == "" || l.Source.Name == "" || l.Source.Created.IsZero():
		return l, errors.New("source lacks uid, name or created")
	case l.Sequence < 1 || l.Hash == "":
		return l, errors.New("the line lacks sequence or hash")
	}
	return l, nil
}
