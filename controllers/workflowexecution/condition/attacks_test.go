package condition_test

import (
	"strconv"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/holdfast-dev/holdfast/controllers/workflowexecution/condition"
	"github.com/holdfast-dev/holdfast/internal/testenv/alloc"
)

// nested replaces @ in step by seed, n times.
func nested(n int, seed, step string) string {
	for range n {
		seed = strings.ReplaceAll(step, "@", seed)
	}
	return seed
}

const tenItems = "[1,2,3,4,5,6,7,8,9,10]"

// loops asks for something 10^n times, and passes over its errors.
func loops(n int, condition string) string {
	return nested(n, "("+condition+")", tenItems+".all(x,@||true)")
}

// attacks are expressions that a person may write into a resource, all of them shorter than 1024 characters. Without bounds each takes gigabytes, or minutes.
var attacks = map[string]string{
	"texts that grow tenfold":            nested(6, "'aaaaaaaaaa'", "@.replace('a','aaaaaaaaaa')") + ".size() > 0",
	"texts that grow tenfold, further":   nested(9, "'aaaaaaaaaa'", "@.replace('a','aaaaaaaaaa')") + ".size() > 0",
	"texts of the target that grow":      nested(4, "target.metadata.name", "@.replace('','aaaaaaaaaa')") + ".size() > 0",
	"texts that double":                  nested(14, "'aaaaaaaa'", "[@].map(x,x+x)[0]") + " != ''",
	"texts that double, behind dyn":      nested(14, "dyn('aaaaaaaaaaaaaaaa')", "[@].map(x,x+x+x)[0]") + " != ''",
	"texts of the target that double":    nested(6, "target.metadata.annotations.large", "[@].map(x,x+x)[0]") + " != ''",
	"bytes that double":                  nested(14, "b'aaaaaaaaaaaaaaaaaaaaaaaa'", "[@].map(x,x+x+x)[0]") + " != b''",
	"texts that join":                    nested(2, "target.metadata.annotations.large", "[@,@].join(@)") + " != ''",
	"join multiplies":                    nested(9, "'aaaaaaaaaa'", "@.split('').join('bbbbbbbbbb')") + " != ''",
	"quote multiplies":                   nested(20, `'"'`, "strings.quote(@)") + " != ''",
	"format prints a billion digits":     "'%.1000000000f'.format([1.0]) != ''",
	"format with a computed clause":      "('%.1' + '000000000f').format([1.0]) != ''",
	"format multiplies":                  nested(14, "'aaaaaaaaaaaa'", "'%s%s%s'.format([@,'b','c'])") + " != ''",
	"format of a tree":                   "'%s'.format([" + nested(14, "[1]", "[@].map(x,[x,x])[0]") + "]) != ''",
	"lists that double":                  "[" + nested(14, "[1,2,3,4]", "[@].map(x,x+x+x)[0]") + "].all(y,y == y)",
	"lists that double, gone through":    nested(15, "[1]", "[@].map(x,x+x+x)[0]") + ".exists(x,x == 2)",
	"lists of the target that double":    nested(12, "target.spec.items", "[@].map(x,x+x)[0]") + " == []",
	"a tree of shared lists":             "[" + nested(14, "[1]", "[@].map(x,[x,x,x])[0]") + "].all(y,y == y)",
	"a tree of shared maps":              "[" + nested(14, "{'a':1}", "[@].map(x,{'a':x,'b':x,'c':x})[0]") + "].all(y,y == y)",
	"a tree in an error":                 "[" + nested(13, "[1]", "[@].map(x,[x,x,x])[0]") + "].map(x,dyn(x)).join() == ''",
	"a tree as optional value":           "[" + nested(13, "[1]", "[@].map(x,[x,x,x])[0]") + "].map(x,dyn(x)).unwrapOpt().size() > 0",
	"a tree that is no optional element": "[1].exists(i,[?" + nested(12, "[1]", "[@].map(x,[x,x,x])[0]") + ".map(x,dyn(x))[0]].size() > 0)",
	"types that double":                  nested(25, "1", "[@].map(x,{x:x})[0]") + " == 1",
	"types that nest":                    strings.Repeat("[", 240) + "1" + strings.Repeat("]", 240) + " == [1]",
	"types of maps that nest":            strings.Repeat("{1:", 200) + "1" + strings.Repeat("}", 200) + " == 1",
	"types of optional values that nest": "optional.of(1)" + strings.Repeat(".optMap(x,optional.of(x))", 35) + " == 1",
	"macros that write twice":            "optional.of(1)" + strings.Repeat(".optMap(x,x)", 30) + ".hasValue()",
	"macros that write twice, more":      "optional.of(1)" + strings.Repeat(".optMap(x,x)", 80) + ".hasValue()",
	"macros that write twice, flat":      "optional.of(1)" + strings.Repeat(".optFlatMap(x,optional.of(x))", 29) + ".hasValue()",
	"messages":                           nested(12, "google.protobuf.ListValue{values:[1]}", "[@].map(x,google.protobuf.ListValue{values:[x,x]})[0]") + ".size() > 0",
	"quantity with a large exponent":     `quantity("1e100000000").isGreaterThan(quantity("1"))`,
	"quantity with a small exponent":     `quantity("1e-100000000").isGreaterThan(quantity("1"))`,
	"quantity that counts":               `quantity("0e2000000000").isInteger()`,
	"quantity of the target":             `quantity(target.spec.huge).isGreaterThan(quantity("1"))`,
	"quantity that is composed":          `quantity("1e1"+"00000000").compareTo(quantity("1")) > 0`,
	"quantity that is only asked":        `isQuantity("1e-1"+"00000000")`,
	"quantity that adds":                 `quantity("1e1"+"00000000").add(quantity("1")).isGreaterThan(quantity("1"))`,
	"regular expression that repeats":    "'a'.matches('" + nested(2, "x", "(?:@@@@@@@@@@)") + "{1000}')",
	"regular expression of the target":   "target.metadata.annotations.large.matches(target.spec.pattern)",
	"regular expression that is long":    "target.metadata.annotations.large.matches('(?:a?){50}(?:b?){50}(?:c?){50}' + 'd')",
	"regular expressions, many":          tenItems + ".exists(a," + tenItems + ".exists(b," + tenItems + ".exists(c,'a'.matches('a{900}' + string(a*100+b*10+c)))))",
	"characters of classes":              `'a'.matches('(?:\\pL\\pN\\pS){300}')`,
	"search in a text":                   "target.metadata.annotations.large.indexOf(target.metadata.annotations.large.substring(100000) + 'b') > 0",
	"search from the end":                "target.metadata.annotations.large.lastIndexOf('b' + target.metadata.annotations.large.substring(100000)) > 0",
	"the length of a text, often":        loops(4, "target.metadata.annotations.large.size() > 0"),
	"characters of a text, often":        loops(3, "target.metadata.annotations.large.charAt(1) != ''"),
	"a comparison of large parts, often": loops(3, "target.spec == target.other"),
	"a search in a large list, often":    loops(3, "[1] in target.spec.items"),
	"keys of a large map, often":         loops(4, "!target.spec.map.exists(k,true)"),
	"a number that is read, often":       loops(3, "int(target.metadata.annotations.large) == 1"),
	"a time that is read, often":         loops(3, "timestamp(target.metadata.annotations.large) == timestamp(0)"),
	"time zones, often":                  loops(4, "timestamp(0).getHours('Europe/Zurich') == 1"),
	"loops in loops":                     loops(5, "true"),
	"loops in loops over the target":     "target.spec.items.all(a,target.spec.items.all(b,true))",
	"a large list that is gone through":  "target.spec.numbers.exists(n,n < 0)",
	"a long path, often":                 "target.spec.numbers.all(n,!has(target" + strings.Repeat(".x", 100) + ")||true)",
	"split into many":                    loops(2, "target.metadata.annotations.large.split('').size() > 0"),
	"parentheses":                        strings.Repeat("(", 1000),
	"brackets":                           strings.Repeat("[", 1000),
	"braces":                             strings.Repeat("{", 1000),
	"minus":                              strings.Repeat("-", 1000) + "1 == 1",
	"questions":                          strings.Repeat("true?", 100) + "true" + strings.Repeat(":true", 100),
	"a long number":                      strings.Repeat("9", 1000) + " > 1",
	"longer than the API takes":          "true" + strings.Repeat(" || true", 200),
}

// hostile is a target that somebody made as large as the API server takes it.
func hostile() map[string]any {
	var items []any
	entries := map[string]any{}
	for i := range 2000 {
		items = append(items, map[string]any{"name": strings.Repeat("n", 20), "value": int64(i)})
		entries[strings.Repeat("k", 10)+string(rune('a'+i%26))+strings.Repeat("x", i%50)] = "v"
	}
	var numbers []any
	for i := range 150_000 {
		numbers = append(numbers, int64(i))
	}
	for i := range 30_000 {
		entries[strconv.Itoa(i)] = "v"
	}
	return map[string]any{
		"apiVersion": "example.com/v1", "kind": "Thing",
		"metadata": map[string]any{"name": strings.Repeat("n", 253), "annotations": map[string]any{"large": strings.Repeat("a", 200<<10)}},
		"spec":     map[string]any{"items": items, "numbers": numbers, "map": entries, "huge": "1e-100000000", "pattern": strings.Repeat("(?:a?){30}", 10)},
		"other":    map[string]any{"items": items, "map": entries, "huge": "1e-100000000", "pattern": "a"},
	}
}

// What compiling and evaluating any expression may allocate, all in all: more than the budget, which counts values and not what it takes to make them.
const maxAllocated = 64 << 20

func TestAttacksCostLittle(t *testing.T) {
	target := hostile()
	for name, expression := range attacks {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			if strings.HasPrefix(name, "longer") {
				g.Expect(len(expression)).To(BeNumerically(">", 1024))
			} else {
				g.Expect(len(expression)).To(BeNumerically("<=", 1024))
			}
			var c *condition.Condition
			var compiled, evaluated error
			var work, memory uint64
			spent := alloc.Bytes(func() {
				if c, compiled = condition.Compile(expression); compiled == nil {
					work, memory, evaluated = c.Spend(t.Context(), target)
				}
			})
			t.Logf("%d characters: %d KiB, work %d, memory %d KiB; %.200v; %.200v", len(expression), spent>>10, work, memory>>10, compiled, evaluated)
			g.Expect(spent).To(BeNumerically("<", maxAllocated))
			g.Expect(work).To(BeNumerically("<=", condition.MaxWork))
			g.Expect(memory).To(BeNumerically("<=", condition.MaxMemory))
		})
	}
}
