package condition

import (
	"fmt"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/functions"
	"github.com/google/cel-go/ext"
	"k8s.io/apiserver/pkg/cel/library"
)

const (
	// maxCharacters is the longest expression, as the API bounds it.
	maxCharacters = 1024
	// maxPrecision bounds the digits that format prints after the point; without a bound, '%.1000000000f' prints a billion.
	maxPrecision = 20
)

// setting is what an expression may use, and how each function is called.
type setting struct {
	env *cel.Env
	// calls are the functions by the id of an overload, or by their name where only the arguments tell which overload it is.
	calls map[string]*functions.Overload
}

var standard = sync.OnceValues(func() (*setting, error) {
	env, err := cel.NewEnv(
		cel.Variable(targetName, cel.DynType),
		cel.CrossTypeNumericComparisons(true),
		cel.ParserExpressionSizeLimit(maxCharacters),
		cel.OptionalTypes(),
		cel.Macros(bindingMacros...),
		ext.Strings(ext.StringsVersion(2), ext.StringsMaxPrecision(maxPrecision)),
		library.Quantity(),
	)
	if err != nil {
		return nil, fmt.Errorf("set up CEL: %w", err)
	}
	return newSetting(env)
})

func newSetting(env *cel.Env) (*setting, error) {
	s := &setting{env: env, calls: map[string]*functions.Overload{}}
	for name, function := range env.Functions() {
		bindings, err := function.Bindings()
		if err != nil {
			return nil, fmt.Errorf("set up CEL's function %s: %w", name, err)
		}
		for _, overload := range bindings {
			s.calls[overload.Operator] = overload
		}
	}
	return s, nil
}
