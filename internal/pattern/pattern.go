package pattern

import (
	"fmt"
	"regexp"
	"regexp/syntax"
)

const (
	// maxBytes is the longest regular expression.
	maxBytes = 512
	// maxInstructions bounds what a regular expression is compiled to. An image reference with all its parts needs some 150.
	maxInstructions = 1000
	// runesInInstruction is how many ranges of characters count like one instruction. \pL has 700 of them.
	runesInInstruction = 16
)

// Pattern is a compiled regular expression, and about how many instructions it has.
type Pattern struct {
	*regexp.Regexp

	Instructions uint64
}

// Compile compiles a regular expression if it is small. The error names it, cut, and what was expected.
func Compile(text string) (*Pattern, error) {
	if len(text) > maxBytes {
		return nil, fmt.Errorf("regular expression is %.64q of %d bytes, expected at most %d", text, len(text), maxBytes)
	}
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("regular expression is %.64q, expected RE2 syntax: %w", text, err)
	}
	instructions := instructionsOf(parsed)
	if instructions > maxInstructions {
		return nil, fmt.Errorf("regular expression is %.64q and compiles to about %d instructions, expected at most %d; use fewer or smaller repetitions", text, instructions, maxInstructions)
	}
	compiled, err := regexp.Compile(text)
	if err != nil {
		return nil, fmt.Errorf("regular expression is %.64q: %w", text, err)
	}
	return &Pattern{Regexp: compiled, Instructions: instructions}, nil
}

// instructionsOf is about how many instructions a regular expression is compiled to. syntax.Parse has bounded its depth and its repetitions.
func instructionsOf(r *syntax.Regexp) uint64 {
	n := uint64(1) + uint64(len(r.Rune))/runesInInstruction
	if r.Op == syntax.OpLiteral {
		n = uint64(len(r.Rune))
	}
	for _, sub := range r.Sub {
		n += instructionsOf(sub)
	}
	if r.Op == syntax.OpRepeat {
		n *= uint64(max(r.Min+1, r.Max, 1))
	}
	return n
}
