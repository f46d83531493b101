package scaffold

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Options say which kind of which project.
type Options struct {
	// Kind is the name of the kind's Go type.
	Kind string
	// Dir has the project's go.mod.
	Dir string
	// API is the folder of the kind's types below Dir, where several versions have it; empty otherwise.
	API string
}

// Plan is what changes in a project.
type Plan struct {
	// Files that change, or are new.
	Files []File
	// Adapter is the file with the function that says what the trail keeps.
	Adapter string
	// Notes say what is left to do by hand.
	Notes []string

	root string
}

// File is one that changes.
type File struct {
	// Name is its path below the project.
	Name string
	// Was is nil for a new file.
	Was, Is []byte
}

// Make works out the plan. It reads the project and changes nothing. Its errors are a *RefusalError, or those of reading the project.
func Make(o Options) (*Plan, error) {
	root, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	p, err := open(root)
	if err != nil {
		return nil, err
	}
	k, err := p.kind(o.Kind, filepath.FromSlash(o.API))
	if err != nil {
		return nil, err
	}
	c, err := p.controller(k)
	if err != nil {
		return nil, err
	}
	w, err := p.wiring(k, c)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(k.addStatus(), w.connect(k)); err != nil {
		return nil, err
	}
	c.addRights(k)
	if err := c.addAdapter(p, k); err != nil {
		return nil, err
	}
	plan := &Plan{root: root, Adapter: c.file.name, Notes: c.notes}
	if err := plan.collect(k.file, k.status.file, c.file, w.file); err != nil {
		return nil, err
	}
	return plan, nil
}

// collect takes each of the files that has edits, once.
func (p *Plan) collect(files ...*file) error {
	seen := map[string]bool{}
	for _, f := range files {
		if len(f.edits) == 0 || seen[f.name] {
			continue
		}
		seen[f.name] = true
		is, err := f.result()
		if err != nil {
			return err
		}
		p.Files = append(p.Files, File{Name: f.name, Was: f.source, Is: is})
	}
	return nil
}

// Patch is the plan as `git apply` and `patch -p1` take it.
func (p *Plan) Patch() (string, error) {
	var all strings.Builder
	for _, f := range p.Files {
		text, err := diff(f.Name, f.Was, f.Is)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&all, "diff --git a/%s b/%s\n", f.Name, f.Name)
		if f.Was == nil {
			all.WriteString("new file mode 100644\n")
		}
		all.WriteString(text)
	}
	return all.String(), nil
}

// Write changes the files. Each is replaced as a whole or not at all.
func (p *Plan) Write() error {
	for _, f := range p.Files {
		path := filepath.Join(p.root, filepath.FromSlash(f.Name))
		if err := replace(path, f.Is); err != nil {
			return fmt.Errorf("write %s: %w", f.Name, err)
		}
	}
	return nil
}

func replace(path string, text []byte) error {
	mode := os.FileMode(0o644)
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	temporary := path + ".holdfast"
	if err := os.WriteFile(temporary, text, mode); err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	return os.Rename(temporary, path)
}
