package plugin

import (
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"
)

// splitName takes KIND/NAME or KIND NAME apart.
func splitName(args []string) (kindName, name string, err error) {
	switch {
	case len(args) == 2:
		kindName, name = args[0], args[1]
	case len(args) == 1:
		kindName, name, _ = strings.Cut(args[0], "/")
	}
	if kindName == "" || name == "" || strings.ContainsAny(name, noName) {
		return "", "", fmt.Errorf("the argument is %q, expected KIND/NAME or KIND NAME, as in rr/cart-crash", strings.Join(args, " "))
	}
	return kindName, name, nil
}

// noName are characters that no name has, and that would lead elsewhere in a path.
const noName = "/ ?#%"

// similar reports whether a name may have been meant by another.
func similar(is, meant string) bool {
	if len(meant) >= 3 && (strings.Contains(is, meant) || strings.Contains(meant, is)) {
		return true
	}
	return distance(is, meant) <= max(1, len(meant)/4)
}

// distance is the number of letters to add, remove or replace (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

func orList(words []string) string { return strings.Join(words, " or ") }

// counted is a number with its noun.
func counted(n int, noun string) string {
	switch {
	case n == 1:
		return "1 " + noun
	case strings.HasSuffix(noun, "y"):
		return fmt.Sprintf("%d %sies", n, strings.TrimSuffix(noun, "y"))
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// short is a duration as kubectl writes it.
func short(d time.Duration) string { return duration.HumanDuration(d) }

// are is the verb for a number.
func are(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
