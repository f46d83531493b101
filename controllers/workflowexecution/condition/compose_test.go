package condition_test

import (
	"fmt"
	"strings"
)

// composer makes expressions out of bytes: each byte is one choice. What is written at random hardly ever compiles; what this writes mostly does.
type composer struct {
	choices []byte
	names   []string
}

// choose returns 0 when there is nothing left to choose by; every rule begins with what ends.
func (c *composer) choose(n int) int {
	if len(c.choices) == 0 {
		return 0
	}
	choice := int(c.choices[0]) % n
	c.choices = c.choices[1:]
	return choice
}

func (c *composer) of(alternatives ...func() string) string {
	return alternatives[c.choose(len(alternatives))]()
}

func literal(text string) func() string { return func() string { return text } }

// call writes a template in which rules write the parts, one for each %s.
func (c *composer) call(template string, parts ...func() string) func() string {
	return func() string {
		written := make([]any, 0, len(parts))
		for _, p := range parts {
			written = append(written, p())
		}
		return fmt.Sprintf(template, written...)
	}
}

// loop writes a macro with a variable that is known within its body.
func (c *composer) loop(over func() string, macro string, body func() string) func() string {
	return func() string {
		source, name := over(), string(rune('a'+len(c.names)%26))
		c.names = append(c.names, name)
		defer func() { c.names = c.names[:len(c.names)-1] }()
		return source + "." + macro + "(" + name + "," + body() + ")"
	}
}

func (c *composer) variable() string {
	if len(c.names) == 0 {
		return "target"
	}
	return c.names[c.choose(len(c.names))]
}

func (c *composer) truth() string {
	return c.of(literal("true"), literal("false"),
		c.call("(%s == %s)", c.any, c.any), c.call("(%s != %s)", c.any, c.any), c.call("(%s < %s)", c.number, c.number), c.call("(%s <= %s)", c.text, c.text),
		c.call("(%s && %s)", c.truth, c.truth), c.call("(%s || %s)", c.truth, c.truth), c.call("!%s", c.truth), c.call("(%s ? %s : %s)", c.truth, c.truth, c.truth),
		c.call("(%s in %s)", c.any, c.list), c.call("(%s in %s)", c.text, c.table), c.call("%s.contains(%s)", c.text, c.text), c.call("%s.startsWith(%s)", c.text, c.text),
		c.call("%s.matches(%s)", c.text, c.pattern), c.call("isQuantity(%s)", c.amount), c.call("%s.isGreaterThan(%s)", c.quantity, c.quantity), c.call("%s.isInteger()", c.quantity),
		c.call("has(%s.a)", c.any), c.call("%s.hasValue()", c.optional),
		c.loop(c.list, "all", c.truth), c.loop(c.list, "exists", c.truth), c.loop(c.table, "exists", c.truth), c.loop(c.list, "exists_one", c.truth))
}

func (c *composer) number() string {
	return c.of(literal("1"), literal("0"), literal("-1"), literal("9223372036854775807"), literal("2.5"), literal("1e308"), literal("100u"),
		c.call("(%s + %s)", c.number, c.number), c.call("(%s * %s)", c.number, c.number), c.call("%s.size()", c.text), c.call("%s.size()", c.list), c.call("size(%s)", c.table),
		c.call("int(%s)", c.text), c.call("double(%s)", c.text), c.call("%s.indexOf(%s)", c.text, c.text), c.call("%s.lastIndexOf(%s)", c.text, c.text),
		c.call("%s.compareTo(%s)", c.quantity, c.quantity), c.call("%s.asInteger()", c.quantity), c.call("timestamp(%s).getHours(%s)", c.text, c.text), c.call("duration(%s).getSeconds()", c.text),
		c.variable)
}

func (c *composer) text() string {
	return c.of(literal("''"), literal("'a'"), literal("'aaaaaaaaaa'"), literal(`'"\\\n'`), literal("'%s%s'"), literal("'%.20f'"), literal("target.metadata.annotations.large"),
		c.call("(%s + %s)", c.text, c.text), c.call("%s.replace(%s, %s)", c.text, c.text, c.text), c.call("%s.replace(%s, %s, %s)", c.text, c.text, c.text, c.number),
		c.call("%s.join()", c.list), c.call("%s.join(%s)", c.list, c.text), c.call("%s.format(%s)", c.text, c.list), c.call("strings.quote(%s)", c.text),
		c.call("%s.charAt(%s)", c.text, c.number), c.call("%s.substring(%s)", c.text, c.number), c.call("%s.substring(%s, %s)", c.text, c.number, c.number),
		c.call("%s.upperAscii()", c.text), c.call("%s.trim()", c.text), c.call("string(%s)", c.any), c.call("string(bytes(%s))", c.text), c.call("%s[0]", c.list),
		c.call("[%s].map(x,x+x)[0]", c.text), c.variable)
}

func (c *composer) list() string {
	return c.of(literal("[]"), literal("[1,2,3,4,5,6,7,8,9,10]"), literal("target.spec.items"),
		c.call("[%s]", c.any), c.call("[%s, %s]", c.any, c.any), c.call("[?%s]", c.optional), c.call("(%s + %s)", c.list, c.list), c.call("%s.split(%s)", c.text, c.text),
		c.call("%s.split(%s, %s)", c.text, c.text, c.number), c.loop(c.list, "map", c.any), c.loop(c.table, "map", c.any), c.loop(c.list, "filter", c.truth),
		c.call("[%s].map(x,x+x)[0]", c.list), c.call("[%s].map(x,[x,x])[0]", c.any), c.call("%s.unwrapOpt()", c.list), c.call("dyn(%s)", c.any), c.variable)
}

func (c *composer) table() string {
	return c.of(literal("{}"), literal("{'a':1}"), literal("target.spec.map"), c.call("{'a':%s,'b':%s}", c.any, c.any), c.call("{1:%s}", c.any), c.call("{%s:%s}", c.any, c.any),
		c.call("{?'a':%s}", c.optional), c.variable)
}

func (c *composer) optional() string {
	return c.of(literal("optional.none()"), c.call("optional.of(%s)", c.any), c.call("optional.ofNonZeroValue(%s)", c.any), c.call("target.?%s", literal("spec")), c.call("%s[?0]", c.list),
		c.call("%s.first()", c.list), c.call("%s.last()", c.list), c.call("%s.or(%s)", c.optional, c.optional), c.loop(c.optional, "optMap", c.any), c.loop(c.optional, "optFlatMap", c.optional))
}

func (c *composer) pattern() string {
	return c.of(literal("'a'"), literal("'^[a-z0-9./-]+$'"), literal("'(?:a?){100}'"), literal(`'(?i)\\pL{20}'`), literal("'(a|aa)+b'"), literal("target.spec.pattern"), c.call("(%s + '{90}')", c.text), c.text)
}

func (c *composer) amount() string {
	return c.of(literal("'1Gi'"), literal("'500m'"), literal("'1e30'"), literal("'1e-30'"), literal("'0e30'"), c.call("('1e' + %s)", c.text), literal("target.spec.huge"), c.text)
}

func (c *composer) quantity() string {
	return c.of(literal("quantity('1')"), c.call("quantity(%s)", c.amount), c.call("%s.add(%s)", c.quantity, c.quantity), c.call("%s.sub(%s)", c.quantity, c.quantity), c.call("%s.add(%s)", c.quantity, c.number))
}

func (c *composer) any() string {
	return c.of(c.number, c.text, c.truth, c.list, c.table, literal("target"), literal("null"), c.call("b%s", literal("'bytes'")), c.call("%s.orValue(%s)", c.optional, c.any),
		c.call("type(%s)", c.any), c.call("timestamp(%s)", c.text), c.call("%s.a", c.any), c.call("%s[%s]", c.any, c.any), c.variable)
}

// compose writes one expression of at most 1024 characters.
func compose(choices []byte) string {
	c := &composer{choices: choices}
	var conditions []string
	for length := 0; len(c.choices) > 0; {
		next := c.truth()
		if length += len(next) + 4; length > 1000 {
			break
		}
		conditions = append(conditions, next)
	}
	return strings.Join(conditions, " || ")
}
