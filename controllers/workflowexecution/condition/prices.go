package condition

import (
	"strings"
	"unicode/utf8"

	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// pricer says what a call with these arguments takes, before it is made. It may panic by way of tooMuch.
type pricer func(b *budget, args []ref.Val) price

// prices of all functions that are called. A function that is not there costs what anything costs; a test sees to it that none is missing.
var prices = func() map[string]pricer {
	all := map[string]pricer{
		operators.Equals: equality, operators.NotEquals: equality,
		operators.In: membership, operators.OldIn: membership, "in": membership,
		operators.Add: addition,
		"charAt":      cutting, "substring": cutting, "lowerAscii": cutting, "upperAscii": cutting,
		"indexOf": search, "lastIndexOf": search, "contains": containing,
		"replace": replacement, "split": splitting, "join": joining, "format": formatting,
		"strings.quote": quoting, "bytes": growing(1), "string": growing(4),
		"int": growing(4), "uint": growing(4), "double": growing(4), "bool": growing(4), "timestamp": growing(4), "duration": growing(4), // their errors quote the text
		"quantity": growing(4), "isQuantity": growing(4), "matches": growing(4),
		"optional.unwrap": unwrapping, "unwrapOpt": unwrapping,
	}
	for _, name := range []string{operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals, "startsWith", "endsWith", "size", "trim",
		operators.Subtract, operators.Multiply, operators.Divide, operators.Modulo, operators.Negate, operators.LogicalNot, operators.NotStrictlyFalse, "__not_strictly_false__",
		"dyn", "type", "optional.of", "optional.ofNonZeroValue", "optional.none", "hasValue", "value", "or", "orValue", "first", "last",
		"sign", "isGreaterThan", "isLessThan", "compareTo", "asApproximateFloat", "asInteger", "isInteger", "add", "sub"} {
		all[name] = reading
	}
	for _, name := range []string{"getFullYear", "getMonth", "getDayOfYear", "getDayOfMonth", "getDate", "getDayOfWeek", "getHours", "getMinutes", "getSeconds", "getMilliseconds"} {
		all[name] = calendar
	}
	return all
}()

// priceOf is what a call takes.
func (b *budget) priceOf(function string, args []ref.Val) price {
	if p, known := prices[function]; known {
		return p(b, args)
	}
	return anything(b, args)
}

// anything walks through all its arguments and makes as much again.
func anything(b *budget, args []ref.Val) price {
	w := b.weigh(args...)
	return w.price().plus(w.kept())
}

// textOf is the length of a text or of bytes, 0 for other values.
func textOf(v ref.Val) uint64 {
	switch t := v.(type) {
	case types.String:
		return uint64(len(t))
	case types.Bytes:
		return uint64(len(t))
	}
	return 0
}

// reading goes once through the texts that it is given, and makes nothing of any size.
func reading(_ *budget, args []ref.Val) price {
	p := price{work: 1, memory: perItem}
	for _, a := range args {
		p.work += textOf(a) / 10
	}
	return p
}

// growing makes of a text one that is at most so many times as long. Numbers and times become short texts.
func growing(times uint64) pricer {
	return func(b *budget, args []ref.Val) price {
		p := price{work: 1, memory: 4 * perItem}
		for _, a := range args {
			n := textOf(a)
			p = p.plus(price{work: traverse(n), memory: n * times})
		}
		return p
	}
}

// equality compares what it must: two containers of the same size element by element.
func equality(b *budget, args []ref.Val) price {
	if len(args) != 2 {
		return anything(b, args)
	}
	left, sized := args[0].(traits.Sizer)
	right, alsoSized := args[1].(traits.Sizer)
	_, text := args[0].(types.String)
	_, optional := args[0].(*types.Optional)
	switch {
	case optional:
		return b.weigh(args...).price()
	case !sized || !alsoSized || text:
		return reading(b, args)
	case left.Size() != right.Size():
		return price{work: 1}
	}
	return b.weigh(args...).price()
}

// membership looks for a value in a list, or for a key in a map.
func membership(b *budget, args []ref.Val) price {
	if len(args) == 2 {
		if _, isMap := args[1].(traits.Mapper); isMap {
			return reading(b, args)
		}
	}
	return b.weigh(args...).price()
}

// addition makes a text, bytes or a list out of two. A list that a comprehension collects is extended, not copied; its items were paid for one by one.
func addition(b *budget, args []ref.Val) price {
	if len(args) != 2 {
		return anything(b, args)
	}
	left, isList := args[0].(traits.Lister)
	right, alsoList := args[1].(traits.Lister)
	if !isList || !alsoList {
		return price{work: 1, memory: perItem}.plus(b.text(textOf(args[0]) + textOf(args[1])))
	}
	b.list(sizeOfList(left) + sizeOfList(right))
	if _, gathered := left.(traits.MutableLister); gathered {
		return b.weigh(right).kept()
	}
	return price{work: 1, memory: perList}.plus(b.weigh(left, right).kept())
}

func sizeOfList(l traits.Lister) uint64 {
	n, _ := l.Size().(types.Int)
	return uint64(n)
}

// cutting makes runes of a text, which are four bytes each, and then a text of some of them.
func cutting(_ *budget, args []ref.Val) price {
	n := textOf(args[0])
	return price{work: traverse(n), memory: perItem + 5*n}
}

// search compares a text at each position of another.
func search(_ *budget, args []ref.Val) price {
	if len(args) < 2 {
		return price{work: 1}
	}
	n, m := textOf(args[0]), textOf(args[1])
	return price{work: traverse(n + m + n*m), memory: 4 * (n + m)}
}

// containing is counted as Kubernetes does. It is linear in general, but may compare whole texts at each position that has the same hash.
func containing(_ *budget, args []ref.Val) price {
	if len(args) < 2 {
		return price{work: 1}
	}
	n, m := textOf(args[0]), textOf(args[1])
	return price{work: traverse(n+m) + n/10*(m/10)}
}

// occurrences is how often a separator is in a text; the empty one is around every character.
func occurrences(b *budget, text, separator string) uint64 {
	b.spend(price{work: traverse(uint64(len(text)))})
	if separator == "" {
		return uint64(utf8.RuneCountInString(text)) + 1
	}
	return uint64(strings.Count(text, separator))
}

// atMost applies the number that a call gives as its last argument; a negative one means all.
func atMost(n uint64, args []ref.Val, at int) uint64 {
	if len(args) > at {
		if limit, ok := args[at].(types.Int); ok && limit >= 0 {
			return min(n, uint64(limit))
		}
	}
	return n
}

// replacement makes a text whose length can be told exactly.
func replacement(b *budget, args []ref.Val) price {
	if len(args) < 3 {
		return anything(b, args)
	}
	text, isText := args[0].(types.String)
	old, isOld := args[1].(types.String)
	other, isOther := args[2].(types.String)
	if !isText || !isOld || !isOther {
		return reading(b, args)
	}
	n := atMost(occurrences(b, string(text), string(old)), args, 3)
	return b.text(uint64(len(text)) + n*uint64(len(other)) - min(n*uint64(len(old)), uint64(len(text))))
}

func splitting(b *budget, args []ref.Val) price {
	if len(args) < 2 {
		return anything(b, args)
	}
	text, isText := args[0].(types.String)
	separator, isSeparator := args[1].(types.String)
	if !isText || !isSeparator {
		return reading(b, args)
	}
	return b.list(atMost(occurrences(b, string(text), string(separator))+1, args, 2))
}

func joining(b *budget, args []ref.Val) price {
	list, ok := args[0].(traits.Lister)
	if !ok {
		return reading(b, args)
	}
	w := b.weigh(list)
	separators := uint64(0)
	if len(args) > 1 {
		separators = textOf(args[1]) * sizeOfList(list)
	}
	return w.price().plus(b.text(w.text+separators), price{memory: w.text}) // twice while it grows; and an item that is no text is printed into an error
}

// quoting makes two bytes of some, and three of one that is no UTF-8.
func quoting(b *budget, args []ref.Val) price {
	return reading(b, args).plus(b.text(3*textOf(args[0])+2), price{memory: textOf(args[0])})
}

// Lengths that values print to at most: a float with all its digits and maxPrecision more, other values, and a character as an escape.
const (
	printedDouble = 350
	printedValue  = 80
	printedByte   = 4
)

// formatting prints values into a text, each level of lists and maps into the one around it. Each clause looks up how numbers are written.
func formatting(b *budget, args []ref.Val) price {
	w := b.weigh(args...)
	printed := w.text*printedByte + w.nodes*printedValue + w.doubles*printedDouble
	clauses := uint64(0)
	if text, ok := args[0].(types.String); ok {
		clauses = uint64(strings.Count(string(text), "%"))
	}
	return w.price().plus(b.text(printed), price{work: clauses * formatClause, memory: printed*w.deepest + clauses*formatMemory})
}

// What one clause of format takes beside what it prints, as measured.
const (
	formatClause = 200
	formatMemory = 16 << 10
)

// unwrapping makes a list of those values that are there. Its error prints what is no optional value.
func unwrapping(b *budget, args []ref.Val) price {
	w := b.weigh(args...)
	return w.kept().plus(price{memory: w.text})
}

// calendar reads a field of a time. With the name of a time zone it reads that zone's file, and searches five folders if there is none.
func calendar(b *budget, args []ref.Val) price {
	if len(args) > 1 {
		return growing(4)(b, args).plus(price{work: 500, memory: 48 << 10})
	}
	return price{work: 1}
}
