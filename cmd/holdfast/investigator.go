package main

import (
	"fmt"
	"net/http"

	"github.com/holdfast-dev/holdfast/controllers/aianalysis"
	"github.com/holdfast-dev/holdfast/controllers/aianalysis/holmesgpt"
	"github.com/holdfast-dev/holdfast/internal/catalogue"
	"github.com/holdfast-dev/holdfast/internal/failpoint"
)

// investigator is HolmesGPT when an address is given, else nil: the built-in rules.
func (f *managerFlags) investigator() (aianalysis.Investigator, error) {
	if f.investigatorURL == "" {
		return nil, nil
	}
	workflows, err := catalogue.Default()
	if err != nil {
		return nil, err
	}
	options := []holmesgpt.Option{holmesgpt.WithTimeout(f.investigatorTimeout), holmesgpt.WithModel(f.investigatorModel),
		holmesgpt.WithTransport(failpoint.HTTP("post question", http.DefaultTransport))}
	switch {
	case f.token != "" && f.tokenFile != "":
		return nil, fmt.Errorf("--investigator-token and --investigator-token-file are both set, expected one; unset the other")
	case f.token != "":
		options = append(options, holmesgpt.WithToken(f.token))
	case f.tokenFile != "":
		options = append(options, holmesgpt.WithTokenFile(f.tokenFile))
	}
	client, err := holmesgpt.New(f.investigatorURL, workflows, options...)
	if err != nil {
		return nil, err
	}
	return client, nil
}
