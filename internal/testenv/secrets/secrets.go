// Package secrets draws passwords and tokens for tests, and finds what a message repeats of one.
package secrets

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"pgregory.net/rapid"
)

// Length is the number of characters from which on a part of a secret counts as a leak: fewer are in any text by chance.
const Length = 3

// letters are rare in prose, so that a part of a secret is in a message for no other reason than that somebody put it there.
const letters = "QXZJqxzj"

// Password draws one with everything that has a meaning in URLs, in libpq's settings, in terminals and in files.
func Password() *rapid.Generator[string] {
	return rapid.StringOfN(rapid.SampledFrom([]rune(letters+letters+"@@:/?#%&=+ \n\t'\"\\[],;|é世\U0001F600")), Length, 14, -1)
}

// Token draws one as HTTP headers take it.
func Token() *rapid.Generator[string] {
	return rapid.StringOfN(rapid.SampledFrom([]rune(letters+letters+"-._~+/=")), 12, 40, -1)
}

// Leak returns the first part of a secret that a text has in it and that is not public; "" is none.
func Leak(text, secret string, public ...string) string {
	runes := []rune(secret)
	for i := 0; i+Length <= len(runes); i++ {
		part := string(runes[i : i+Length])
		if strings.Contains(text, part) && !slices.ContainsFunc(public, func(p string) bool { return strings.Contains(p, part) }) {
			return part
		}
	}
	return ""
}

// Whole is all that an error says, also to whoever takes it apart.
func Whole(err error) (all string) {
	for ; err != nil; err = errors.Unwrap(err) {
		all += err.Error() + "\n"
	}
	return all
}

// Repeat answers each request with its Authorization header in format, which need not be HTTP.
func Repeat(format string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer c.Close()
		fmt.Fprintf(c, format, r.Header.Get("Authorization"))
	}
}
