package scaffold_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/holdfast-dev/holdfast/internal/scaffold"
)

func TestWriteFollowsNoLinkOutOfTheProject(t *testing.T) {
	g := NewWithT(t)
	dir, outside := copyExample(t, nil), filepath.Join(t.TempDir(), "outside")
	g.Expect(os.WriteFile(outside, []byte("mine"), 0o600)).To(Succeed())
	for _, name := range []string{types, reconciler, program} {
		g.Expect(os.Symlink(outside, filepath.Join(dir, name+".holdfast"))).To(Succeed())
	}
	plan, err := scaffold.Make(scaffold.Options{Kind: "Release", Dir: dir})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(plan.Write()).To(Succeed())
	g.Expect(os.ReadFile(outside)).To(BeEquivalentTo("mine"))
	for _, f := range plan.Files {
		info, err := os.Lstat(filepath.Join(dir, f.Name))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(info.Mode().IsRegular()).To(BeTrue())
	}
}

func TestWriteChangesAllFilesOrNone(t *testing.T) {
	g := NewWithT(t)
	dir := copyExample(t, nil)
	plan, err := scaffold.Make(scaffold.Options{Kind: "Release", Dir: dir})
	g.Expect(err).NotTo(HaveOccurred())
	last := plan.Files[len(plan.Files)-1]
	g.Expect(os.Remove(filepath.Join(dir, last.Name))).To(Succeed())
	g.Expect(os.Mkdir(filepath.Join(dir, last.Name), 0o750)).To(Succeed())
	g.Expect(plan.Write()).To(MatchError(ContainSubstring("write " + last.Name)))
	for _, f := range plan.Files[:len(plan.Files)-1] {
		g.Expect(os.ReadFile(filepath.Join(dir, f.Name))).To(Equal(f.Was), f.Name)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*", "*", ".holdfast*"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(left).To(BeEmpty())
}

func TestAProjectBehindALink(t *testing.T) {
	g := NewWithT(t)
	link := filepath.Join(t.TempDir(), "project")
	g.Expect(os.Symlink(copyExample(t, nil), link)).To(Succeed())
	plan, err := scaffold.Make(scaffold.Options{Kind: "Release", Dir: link})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(plan.Files).To(HaveLen(3))
}

func TestLinesKeepTheirEnds(t *testing.T) {
	g := NewWithT(t)
	dir := copyExample(t, map[string][]string{types: {"\n", "\r\n"}, reconciler: {"\n", "\r\n"}, program: {"\n", "\r\n"}})
	plan, err := scaffold.Make(scaffold.Options{Kind: "Release", Dir: dir})
	g.Expect(err).NotTo(HaveOccurred())
	for _, f := range plan.Files {
		g.Expect(bytes.Count(f.Is, []byte("\n"))).To(Equal(bytes.Count(f.Is, []byte("\r\n"))), f.Name)
	}
	patch, err := plan.Patch()
	g.Expect(err).NotTo(HaveOccurred())
	apply := exec.Command("git", "apply", "-")
	apply.Dir, apply.Stdin = dir, strings.NewReader(patch)
	output, err := apply.CombinedOutput()
	g.Expect(err).NotTo(HaveOccurred(), string(output))
}

// What is not built is not the program.
func TestAFileThatIsNotBuiltIsLeftAlone(t *testing.T) {
	g := NewWithT(t)
	dir := copyExample(t, nil)
	text, err := os.ReadFile(filepath.Join(dir, program))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(os.WriteFile(filepath.Join(dir, "cmd", "debug.go"), append([]byte("//go:build ignore\n\n"), text...), 0o600)).To(Succeed())
	plan, err := scaffold.Make(scaffold.Options{Kind: "Release", Dir: dir})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(plan.Files[2].Name).To(Equal(program))
}

// One that stays without the client would write states without entries.
func TestASecondProgramIsRefused(t *testing.T) {
	g := NewWithT(t)
	dir := copyExample(t, nil)
	g.Expect(os.CopyFS(filepath.Join(dir, "debug"), os.DirFS(filepath.Join(dir, "cmd")))).To(Succeed())
	_, err := scaffold.Make(scaffold.Options{Kind: "Release", Dir: dir})
	g.Expect(err).To(MatchError(And(ContainSubstring("debug/main.go:"), ContainSubstring("another ReleaseReconciler{…}"))))
}

func TestTheRightsAreThoseOfTheKind(t *testing.T) {
	g := NewWithT(t)
	const last = "// +kubebuilder:rbac:groups=apps,"
	dir := copyExample(t, map[string][]string{reconciler: {last, "// +kubebuilder:rbac:groups=delivery.example.com,resources=releasenotes,verbs=get\n" + last}})
	plan, err := scaffold.Make(scaffold.Options{Kind: "Release", Dir: dir})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(plan.Files[1].Is)).To(ContainSubstring(`Kind: "releases.delivery.example.com"`))
}

func TestAFileThatIsTooLarge(t *testing.T) {
	g := NewWithT(t)
	dir := copyExample(t, map[string][]string{types: {"// ReleaseStatus defines", "// " + strings.Repeat("x", 5<<20) + "\n\n// ReleaseStatus defines"}})
	_, err := scaffold.Make(scaffold.Options{Kind: "Release", Dir: dir})
	g.Expect(err).To(MatchError(ContainSubstring("expected at most 4194304 in a Go file")))
}
