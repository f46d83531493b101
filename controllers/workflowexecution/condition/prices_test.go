package condition

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	. "github.com/onsi/gomega"
	"pgregory.net/rapid"
)

// planned are the operators that cel-go plans as steps of their own, not as calls. They make nothing.
var planned = map[string]bool{
	operators.LogicalAnd: true, operators.LogicalOr: true, operators.Conditional: true,
	operators.Index: true, operators.OptIndex: true, operators.OptSelect: true,
}

func TestEveryFunctionHasAPrice(t *testing.T) {
	g := NewWithT(t)
	s, err := standard()
	g.Expect(err).NotTo(HaveOccurred())
	for name := range s.env.Functions() {
		_, priced := prices[name]
		g.Expect(priced || planned[name]).To(BeTrue(), "%s has no price: whoever adds a function says what it takes", name)
	}
}

// made is how many bytes a value is, written out.
func made(v ref.Val) uint64 {
	w := newBudget(nil, full, 0).weigh(v)
	if _, isList := v.(traits.Lister); isList {
		return w.text + 16*w.nodes
	}
	return w.text
}

// A call makes no more than it was charged for, whatever its arguments.
func TestPricesCoverWhatCallsMake(t *testing.T) {
	s, err := standard()
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	texts := rapid.OneOf(rapid.StringN(0, 40, -1), rapid.StringOfN(rapid.SampledFrom([]rune("a%s.f\n\"\\\x00é\U0001F525")), 0, 30, -1), rapid.SampledFrom([]string{"", "a", "aa", "%s", "%.20f%e%x%b"}))
	values := rapid.OneOf(
		rapid.Map(texts, func(s string) ref.Val { return types.String(s) }),
		rapid.Map(rapid.Int64(), func(i int64) ref.Val { return types.Int(i) }),
		rapid.Map(rapid.Float64(), func(f float64) ref.Val { return types.Double(f) }),
		rapid.Just[ref.Val](types.True), rapid.Just[ref.Val](types.NullValue),
		rapid.Map(texts, func(s string) ref.Val { return types.Bytes(s) }),
	)
	list := func(t *rapid.T, of *rapid.Generator[ref.Val]) ref.Val {
		return types.NewRefValList(types.DefaultTypeAdapter, rapid.SliceOfN(of, 0, 8).Draw(t, "items"))
	}
	text := func(t *rapid.T) ref.Val { return types.String(texts.Draw(t, "text")) }
	number := func(t *rapid.T) ref.Val { return types.Int(rapid.Int64Range(-2, 12).Draw(t, "number")) }
	strings := rapid.Map(texts, func(s string) ref.Val { return types.String(s) })
	calls := map[string]func(*rapid.T) []ref.Val{
		"string_replace_string_string":     func(t *rapid.T) []ref.Val { return []ref.Val{text(t), text(t), text(t)} },
		"string_replace_string_string_int": func(t *rapid.T) []ref.Val { return []ref.Val{text(t), text(t), text(t), number(t)} },
		"string_split_string":              func(t *rapid.T) []ref.Val { return []ref.Val{text(t), text(t)} },
		"string_split_string_int":          func(t *rapid.T) []ref.Val { return []ref.Val{text(t), text(t), number(t)} },
		"list_join":                        func(t *rapid.T) []ref.Val { return []ref.Val{list(t, strings)} },
		"list_join_string":                 func(t *rapid.T) []ref.Val { return []ref.Val{list(t, strings), text(t)} },
		"string_format": func(t *rapid.T) []ref.Val {
			return []ref.Val{text(t), types.NewRefValList(types.DefaultTypeAdapter, []ref.Val{list(t, values), values.Draw(t, "value")})}
		},
		"strings_quote":        func(t *rapid.T) []ref.Val { return []ref.Val{text(t)} },
		"add_string":           func(t *rapid.T) []ref.Val { return []ref.Val{text(t), text(t)} },
		"add_list":             func(t *rapid.T) []ref.Val { return []ref.Val{list(t, values), list(t, values)} },
		"string_substring_int": func(t *rapid.T) []ref.Val { return []ref.Val{text(t), number(t)} },
		"string_upper_ascii":   func(t *rapid.T) []ref.Val { return []ref.Val{text(t)} },
		"string_char_at_int":   func(t *rapid.T) []ref.Val { return []ref.Val{text(t), number(t)} },
		"int64_to_string":      func(t *rapid.T) []ref.Val { return []ref.Val{number(t)} },
		"double_to_string":     func(t *rapid.T) []ref.Val { return []ref.Val{types.Double(rapid.Float64().Draw(t, "f"))} },
	}
	functions := map[string]string{}
	for name, function := range s.env.Functions() {
		for _, overload := range function.OverloadDecls() {
			functions[overload.ID()] = name
		}
	}
	for overload, draw := range calls {
		t.Run(overload, rapid.MakeCheck(func(t *rapid.T) {
			args := draw(t)
			b := newBudget(nil, full, 0)
			charged := b.priceOf(functions[overload], args)
			c := &call{InterpretableCall: named{functions[overload], overload}, overload: s.calls[overload]}
			if c.overload == nil {
				c.overload = s.calls[functions[overload]]
			}
			result := c.invoke(b, args)
			if failed, ok := result.(*types.Err); ok {
				result = types.String(failed.Error()[:min(len(failed.Error()), int(charged.memory))])
			}
			if made(result) > charged.memory {
				t.Fatalf("%s(%v) made %d bytes and was charged for %d", overload, args, made(result), charged.memory)
			}
		}))
	}
}

func TestReplaceIsChargedExactly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		letters := rapid.StringOfN(rapid.SampledFrom([]rune("ab")), 0, 12, -1)
		text, old, other, n := letters.Draw(t, "text"), letters.Draw(t, "old"), letters.Draw(t, "new"), rapid.IntRange(-1, 5).Draw(t, "n")
		charged := replacement(newBudget(nil, full, 0), []ref.Val{types.String(text), types.String(old), types.String(other), types.Int(n)})
		if made := len(strings.Replace(text, old, other, n)); charged.memory != uint64(made) {
			t.Fatalf("replace(%q, %q, %q, %d) makes %d bytes and is charged for %d", text, old, other, n, made, charged.memory)
		}
	})
}

func TestWhatIsTooLargeIsRefusedBeforeItIsMade(t *testing.T) {
	long, lines := types.String(strings.Repeat("a", maxText)), types.String(strings.Repeat("\n", maxItems))
	many := types.NewRefValList(types.DefaultTypeAdapter, make([]ref.Val, maxItems))
	for name, c := range map[string]struct {
		function string
		args     []ref.Val
		expected string
	}{
		"replace": {"replace", []ref.Val{long, types.String("a"), types.String("bb")}, fmt.Sprintf("a text becomes %d bytes long, expected at most %d", 2*maxText, maxText)},
		"add":     {operators.Add, []ref.Val{long, types.String("b")}, fmt.Sprintf("a text becomes %d bytes long", maxText+1)},
		"split":   {"split", []ref.Val{lines, types.String("\n")}, fmt.Sprintf("a list becomes %d items long, expected at most %d", maxItems+1, maxItems)},
		"list":    {operators.Add, []ref.Val{many, types.NewRefValList(types.DefaultTypeAdapter, []ref.Val{types.True})}, "a list becomes 100001 items long"},
		"join":    {"join", []ref.Val{types.NewStringList(types.DefaultTypeAdapter, []string{string(long), "b"})}, "a text becomes"},
		"format":  {"format", []ref.Val{types.String("%s"), types.NewStringList(types.DefaultTypeAdapter, []string{string(long)})}, "a text becomes"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			g.Expect(func() { newBudget(nil, full, 0).priceOf(c.function, c.args) }).To(PanicWith(HaveField("Message", ContainSubstring(c.expected))))
		})
	}
}
