package main

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"text/template"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/yaml"
)

// krewPlugin is krew's format, v1alpha2, without the members that we do not use: they are refused.
type krewPlugin struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Spec struct {
		Version          string `json:"version"`
		Homepage         string `json:"homepage"`
		ShortDescription string `json:"shortDescription"`
		Description      string `json:"description"`
		Caveats          string `json:"caveats"`
		Platforms        []struct {
			Selector struct {
				MatchLabels map[string]string `json:"matchLabels"`
			} `json:"selector"`
			URI    string `json:"uri"`
			Sha256 string `json:"sha256"`
			Bin    string `json:"bin"`
		} `json:"platforms"`
	} `json:"spec"`
}

// The manifest follows the rules of krew's validation and of its index, whose code cannot be imported.
func TestKrewManifest(t *testing.T) {
	g := NewWithT(t)
	const tag = "v1.2.3"
	text, err := template.New(".krew.yaml").Funcs(template.FuncMap{ // as krew-release-bot has it
		"addURIAndSha": func(address, tag string) string {
			return fmt.Sprintf("uri: %s\n    sha256: %s", strings.ReplaceAll(address, "{{ .TagName }}", tag), strings.Repeat("0a", 32))
		},
	}).ParseFiles("../../.krew.yaml")
	g.Expect(err).NotTo(HaveOccurred())
	var rendered strings.Builder
	g.Expect(text.Execute(&rendered, map[string]string{"TagName": tag})).To(Succeed())
	var p krewPlugin
	g.Expect(yaml.UnmarshalStrict([]byte(rendered.String()), &p)).To(Succeed(), rendered.String())
	g.Expect(p.APIVersion).To(Equal("krew.googlecontainertools.github.com/v1alpha2"))
	g.Expect(p.Kind).To(Equal("Plugin"))
	g.Expect(p.Metadata.Name).To(And(MatchRegexp(`^[\w-]+$`), Not(HavePrefix("kubectl-"))))
	g.Expect(p.Spec.Version).To(Equal(tag))
	g.Expect(p.Spec.Homepage).To(HavePrefix("https://"))
	g.Expect(p.Spec.ShortDescription).To(And(Not(BeEmpty()), Not(ContainSubstring("\n")), Not(HaveSuffix("."))))
	g.Expect(len(p.Spec.ShortDescription)).To(BeNumerically("<=", 60))
	g.Expect(p.Spec.Description).NotTo(BeEmpty())
	seen := map[string]bool{}
	for _, platform := range p.Spec.Platforms {
		labels := platform.Selector.MatchLabels
		g.Expect(labels).To(And(HaveLen(2), HaveKey("os"), HaveKey("arch")))
		name := labels["os"] + "_" + labels["arch"]
		g.Expect(seen).NotTo(HaveKey(name), "krew takes the first that matches")
		seen[name] = true
		address, err := url.Parse(platform.URI)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(address.Scheme).To(Equal("https"))
		g.Expect(address.Path).To(And(ContainSubstring("/"+tag+"/"), MatchRegexp(regexp.QuoteMeta(name)+`\.(tar\.gz|zip)$`)))
		g.Expect(platform.Sha256).To(MatchRegexp(`^[a-f0-9]{64}$`))
		want := "kubectl-holdfast"
		if labels["os"] == "windows" {
			want += ".exe"
		}
		g.Expect(platform.Bin).To(Equal(want), "a path in the archive")
	}
	g.Expect(seen).To(HaveLen(5))
}
