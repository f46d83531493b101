package plugin

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/holdfast-dev/holdfast/internal/redact"
)

// bundled is the result of support-bundle.
type bundled struct {
	File   string   `json:"file"`
	Parts  []string `json:"parts"`
	Unread []unread `json:"unread,omitempty"`
}

func (b *bundled) text(p *page) {
	p.line("%s: %s", b.File, counted(len(b.Parts), "part"))
	for _, u := range b.Unread {
		p.line("Left out %s: %s", u.What, u.Reason)
	}
}

func newBundleCommand(c *cluster) *cobra.Command {
	var (
		in   scope
		out  output
		db   database
		file string
	)
	cmd := &cobra.Command{
		Use:   "support-bundle",
		Short: "Write a redacted archive for somebody who helps",
		Long: `Write an archive (tar.gz) for whoever helps you: the status, the list of resources, the check of
the installation, versions, and the Events and the end of the logs of Holdfast's Pods. It has no entries,
no specs and no Secrets, and credentials in logs and Events are redacted. Read it before you pass it on.

What you may not read is left out, and the archive says so. An existing file is never replaced.

Exit status: 0 written, 2 it could not be written.`,
		Example: `  kubectl holdfast support-bundle -A
  kubectl holdfast support-bundle -A --file holdfast.tar.gz
  tar -tzf holdfast.tar.gz`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := out.check(); err != nil {
				return err
			}
			if file == "" {
				file = "holdfast-support-" + time.Now().UTC().Format("20060102T150405Z") + ".tar.gz"
			}
			b, err := c.bundle(cmd.Context(), in, &db, file)
			if err != nil {
				return err
			}
			return out.print(c.streams.Out, b)
		},
	}
	in.addFlags(cmd)
	out.addFlags(cmd)
	db.addFlags(cmd)
	cmd.Flags().StringVar(&file, "file", "", "file to write (default: holdfast-support-TIME.tar.gz, here)")
	return cmd
}

// logLines is how much of each log is taken, and logBytes at most.
const (
	logLines = 2000
	logBytes = 1 << 20
)

func (c *cluster) bundle(ctx context.Context, in scope, db *database, path string) (*bundled, error) {
	if err := c.connect(); err != nil {
		return nil, err
	}
	b := &bundled{File: path}
	var archive bytes.Buffer
	zipped := gzip.NewWriter(&archive)
	packed := tar.NewWriter(zipped)
	now := time.Now()
	add := func(name string, text []byte, err error) {
		if err != nil {
			b.Unread = append(b.Unread, unread{name, reasonOf(err)})
			return
		}
		// Writing to memory does not fail.
		_ = packed.WriteHeader(&tar.Header{Name: "holdfast/" + name, Mode: 0o600, Size: int64(len(text)), ModTime: now})
		_, _ = packed.Write(text)
		b.Parts = append(b.Parts, name)
	}
	addResult := func(name string, r any, err error) {
		var text []byte
		if err == nil {
			text, err = encoded(r)
		}
		add(name, []byte(redact.Text(string(text))), err)
	}
	status, err := c.overview(ctx, in, db)
	addResult("status.json", status, err)
	list, err := c.list(ctx, nil, in, func(*summary) bool { return true })
	addResult("list.json", list, err)
	check, err := c.check(ctx, db)
	addResult("check.json", check, err)
	pods, err := c.clientset.CoreV1().Pods(c.system).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=holdfast"})
	if err != nil {
		add("pods", nil, err)
	} else {
		for i := range pods.Items {
			c.bundlePod(ctx, &pods.Items[i], add)
		}
	}
	events, err := c.clientset.EventsV1().Events(c.system).List(ctx, metav1.ListOptions{Limit: pageLimit})
	addResult("events.json", events, err)
	unread, err := json.MarshalIndent(b.Unread, "", "  ")
	add("left-out.json", unread, err)
	if err := errors.Join(ctx.Err(), packed.Close(), zipped.Close()); err != nil {
		return nil, err
	}
	return b, writeNew(path, archive.Bytes())
}

// bundlePod adds the state and the log of a Pod, but not its spec: an environment may hold credentials.
func (c *cluster) bundlePod(ctx context.Context, pod *corev1.Pod, add func(string, []byte, error)) {
	state, err := encoded(pod.Status)
	add("pods/"+pod.Name+".json", state, err)
	lines, bytes := int64(logLines), int64(logBytes)
	stream, err := c.clientset.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{TailLines: &lines, LimitBytes: &bytes}).Stream(ctx)
	if err != nil {
		add("pods/"+pod.Name+".log", nil, err)
		return
	}
	defer stream.Close()
	text, err := io.ReadAll(io.LimitReader(stream, logBytes))
	add("pods/"+pod.Name+".log", []byte(redact.Text(string(text))), err)
}

// writeNew writes a file that only its owner can read, and replaces none.
func writeNew(path string, text []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("--file is %q, which exists; name another file, or remove it", path)
	}
	if err != nil {
		return fmt.Errorf("write --file: %w", err)
	}
	_, err = file.Write(text)
	if err := errors.Join(err, file.Close()); err != nil {
		return errors.Join(fmt.Errorf("write --file: %w", err), os.Remove(path))
	}
	return nil
}
