package scaffold

import (
	"errors"
	"fmt"
	"go/ast"
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
	// Files that change.
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
	Name    string
	Was, Is []byte
}

// Make works out the plan. It reads the project and changes nothing. Its errors are a *RefusalError, or those of reading the project.
func Make(o Options) (*Plan, error) {
	root, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	if root, err = filepath.EvalSymlinks(root); err != nil { // a walk follows no links, not even the first
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
	if err := errors.Join(k.addStatus(), w.connect(p, k, c)); err != nil {
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
		if ast.IsGenerated(f.syntax) {
			return f.refuse(f.syntax.Name.Pos(), "do-you-qualify", "a file that is written by hand: the next generation would undo the change", "the file is generated")
		}
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
		if strings.ContainsAny(f.Name, "\"\\\n\r\t") {
			return "", fmt.Errorf("a patch cannot name the file %q, expected no quotes and control characters; use --write", f.Name)
		}
		text, err := diff(f.Name, f.Was, f.Is)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&all, "diff --git a/%s b/%s\n", f.Name, f.Name)
		all.WriteString(text)
	}
	return all.String(), nil
}

// Write changes all files or none: every new text is on the disk before the first file is replaced, and what was replaced is put back if a later file cannot be.
func (p *Plan) Write() error {
	staged := make([]string, len(p.Files))
	defer func() {
		for _, temporary := range staged {
			_ = os.Remove(temporary) // those that were renamed are not there
		}
	}()
	var err error
	for i, f := range p.Files {
		if staged[i], err = stage(p.path(f), f.Is); err != nil {
			return fmt.Errorf("write %s: %w; nothing was changed", f.Name, err)
		}
	}
	for i, f := range p.Files {
		if err := os.Rename(staged[i], p.path(f)); err != nil {
			return errors.Join(fmt.Errorf("write %s: %w", f.Name, err), p.putBack(p.Files[:i]))
		}
	}
	return nil
}

func (p *Plan) path(f File) string { return filepath.Join(p.root, filepath.FromSlash(f.Name)) }

// putBack makes files what they were.
func (p *Plan) putBack(files []File) (err error) {
	for _, f := range files {
		temporary, stageErr := stage(p.path(f), f.Was)
		if stageErr == nil {
			stageErr = os.Rename(temporary, p.path(f))
		}
		if stageErr != nil {
			err = errors.Join(err, fmt.Errorf("put %s back: %w", f.Name, stageErr))
		}
	}
	return err
}

// stage writes the text that replaces a file into a new one beside it. Its name is nobody's: under one that can be guessed, a project could have a link to a file elsewhere.
func stage(path string, text []byte) (temporary string, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".holdfast-*")
	if err != nil {
		return "", err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Chmod(info.Mode().Perm()), f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}
