package condition

import (
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// Bytes that a value takes beside its texts.
const (
	perList = 128
	perItem = 32
)

// weight is how large a value is when it is written out as a tree. A list that holds another one twice has it twice, as everything that walks through it does:
// 60 of them in each other are small in memory, and a comparison of two would not end.
type weight struct {
	nodes, text, doubles uint64
	depth, deepest       uint64
	// limit is how many nodes are looked at before the rest no longer matters.
	limit uint64
}

// weigh looks at a value, and stops when it is clear that the budget cannot pay for more. It allocates nothing for what comes from the target.
func (b *budget) weigh(values ...ref.Val) *weight {
	w := &weight{limit: b.left.work}
	for _, v := range values {
		w.add(v)
	}
	return w
}

// price of walking through what was weighed once.
func (w *weight) price() price {
	return price{work: w.nodes + w.text/10, memory: 0}
}

// kept is the price of a value that contains what was weighed. It counts a part each time that a value contains it, so no value becomes larger than the budget.
func (w *weight) kept() price {
	return price{work: w.nodes + w.text/10, memory: w.nodes*perItem/2 + w.text}
}

func (w *weight) over() bool { return w.nodes > w.limit || w.text/10 > w.limit }

// add takes both CEL's values and those of decoded JSON.
func (w *weight) add(value any) {
	w.nodes++
	if w.over() {
		return
	}
	switch v := value.(type) {
	case types.String:
		w.text += uint64(len(v))
	case types.Bytes:
		w.text += uint64(len(v))
	case string:
		w.text += uint64(len(v))
	case types.Double, float64:
		w.doubles++
	case *types.Optional:
		if v.HasValue() {
			w.add(v.GetValue())
		}
	case map[string]any:
		w.within(func() {
			for key, item := range v {
				w.FoldEntry(key, item)
			}
		})
	case []any:
		w.within(func() {
			for _, item := range v {
				w.add(item)
			}
		})
	case traits.Mapper:
		w.within(func() { types.ToFoldableMap(v).Fold(w) })
	case traits.Lister:
		w.within(func() { types.ToFoldableList(v).Fold(listed{w}) })
	}
}

func (w *weight) within(look func()) {
	w.depth++
	w.deepest = max(w.deepest, w.depth)
	look()
	w.depth--
}

// FoldEntry implements traits.Folder for maps.
func (w *weight) FoldEntry(key, value any) bool {
	w.add(key)
	w.add(value)
	return !w.over()
}

// listed folds lists, whose keys are positions and weigh nothing.
type listed struct{ *weight }

// FoldEntry implements traits.Folder.
func (l listed) FoldEntry(_, value any) bool {
	l.add(value)
	return !l.over()
}
