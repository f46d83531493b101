package main

import (
	"errors"

	"github.com/holdfast-dev/holdfast/controllers/aianalysis"
)

// investigator is HolmesGPT when an address is given, else nil: the built-in rules.
func (f *managerFlags) investigator() (aianalysis.Investigator, error) {
	if f.investigatorURL == "" {
		return nil, nil
	}
	return nil, errors.New("--investigator-url: not in this build yet")
}
