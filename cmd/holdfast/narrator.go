package main

import (
	"errors"

	"github.com/spf13/pflag"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/holdfast-dev/holdfast/internal/narrator"
)

// narratorFlags are the settings of the language model that writes narratives.
type narratorFlags struct{ o narrator.Options }

func (f *narratorFlags) addNarrator(flags *pflag.FlagSet) {
	o := &f.o
	flags.StringVar(&o.URL, "narrator-url", "", "base URL of a chat-completions API, as in http://models.ai:8000/v1 (default: no language model)")
	flags.StringVar(&o.Model, "narrator-model", "", "name of the model at --narrator-url")
	flags.StringVar(&o.TokenFile, "narrator-token-file", "", "file with the bearer token for --narrator-url, read for each call")
	flags.DurationVar(&o.CallTimeout, "narrator-call-timeout", o.CallTimeout, "timeout of a call of the language model")
	flags.DurationVar(&o.Timeout, "narrator-timeout", o.Timeout, "timeout of a narrative, with its wait and its second call")
	flags.IntVar(&o.InputTokens, "narrator-max-input-tokens", o.InputTokens, "max input tokens of a call, estimated")
	flags.IntVar(&o.OutputTokens, "narrator-max-output-tokens", o.OutputTokens, "max output tokens of a call")
	flags.IntVar(&o.Concurrency, "narrator-max-concurrent", o.Concurrency, "max narratives written at once; some more wait")
	flags.Int64Var(&o.TokensPerDay, "narrator-max-tokens-per-day", o.TokensPerDay, "max tokens, input and output, per process and day in UTC")
	flags.IntVar(&o.CacheBytes, "narrator-cache-bytes", o.CacheBytes, "max bytes of narratives kept in memory")
}

// narrator is the language model, nil without one.
func (f *narratorFlags) narrator() (*narrator.Narrator, error) {
	if f.o.URL == "" {
		if f.o.Model != "" || f.o.TokenFile != "" {
			return nil, errors.New("--narrator-model or --narrator-token-file is set without --narrator-url, expected all of the narrator's flags or none; set --narrator-url")
		}
		return nil, nil
	}
	f.o.Log = ctrl.Log.WithName("narrator")
	return narrator.New(f.o)
}
