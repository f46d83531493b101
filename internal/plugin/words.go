package plugin

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/holdfast-dev/holdfast/internal/command"
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

// oneResource asks for what names one resource, in one argument or, as KIND NAME, in two.
func oneResource(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 || len(args) == 2 {
			return nil
		}
		return fmt.Errorf("%q takes %s; got %s (see %s --help)", cmd.CommandPath(), what, counted(len(args), "argument"), cmd.CommandPath())
	}
}

// noArguments refuses arguments. One that may be a part of a URL is not shown.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return fmt.Errorf("%q takes flags only, got the argument %s (see %s --help)", cmd.CommandPath(), command.Shown(args[0]), cmd.CommandPath())
}

// article is a noun with a or an.
func article(noun fmt.Stringer) string {
	if strings.ContainsRune("aeiou", rune(noun.String()[0])) {
		return "an " + noun.String()
	}
	return "a " + noun.String()
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

// orList names the choices.
func orList(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

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
