package quantity

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
)

const (
	// MaxLength is the longest text of a quantity, in bytes. The largest that Kubernetes can use, 2^63-1, has 19 digits.
	MaxLength = 64
	// MaxExponent bounds the exponent of a quantity in decimal notation, above and below zero. The suffixes reach from 10^-9 (n) to 2^60 (Ei).
	MaxExponent = 30
	// maxScale is how far an accepted text can move the decimal point: by its exponent and by all its digits.
	maxScale = MaxExponent + MaxLength
	// maxBits bounds the integer inside: MaxLength digits, MaxExponent zeros and nine decimal places are 343 bits, a million of them 363.
	maxBits = 512
)

// Form says in an error, after "a quantity", what Parse takes.
const Form = "as in 512Mi, 500m or 1e3, at most 2^63-1, of at most 64 characters and with an exponent from -30 to 30"

// largest is what Kubernetes documents as the largest quantity. It prints larger ones wrong: 1000E becomes 1.
var largest = resource.NewQuantity(math.MaxInt64, resource.DecimalSI)

// form is what Kubernetes documents. Its parser takes more, such as Mi for nothing.
var form = regexp.MustCompile(`^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)?$`)

// Parse reads a quantity. The error names the text, cut to MaxLength, and what was expected.
func Parse(text string) (resource.Quantity, error) {
	if err := CheckText(text); err != nil {
		return resource.Quantity{}, err
	}
	if !form.MatchString(text) {
		return resource.Quantity{}, unexpected(text)
	}
	q, err := resource.ParseQuantity(text)
	if err != nil || q.Cmp(*largest) > 0 || q.CmpInt64(-math.MaxInt64) < 0 {
		return resource.Quantity{}, unexpected(text)
	}
	return q, nil
}

// CheckText looks whether a text may be parsed as a quantity. It may still not be one.
func CheckText(text string) error {
	if len(text) > MaxLength || !exponentFits(text) {
		return unexpected(text)
	}
	return nil
}

// exponentFits looks at what follows the first e or E, if that is a number: without one, E is the suffix for 10^18, and Ei the one for 2^60.
func exponentFits(text string) bool {
	at := strings.IndexAny(text, "eE")
	if at < 0 {
		return true
	}
	digits := strings.TrimLeft(text[at+1:], "+-")
	if strings.Trim(digits, "0123456789") != "" {
		return true // no exponent: a suffix, or no quantity
	}
	digits = strings.TrimLeft(digits, "0")
	n, err := strconv.Atoi("0" + digits)
	return err == nil && n <= MaxExponent
}

func unexpected(text string) error { return malformed(text, "a quantity "+Form) }

// Check looks whether a quantity that somebody else has parsed may be compared, added or printed. Its error does not print the quantity.
func Check(q resource.Quantity) error {
	exact := q.AsDec()
	scale, bits := int64(exact.Scale()), exact.UnscaledBig().BitLen()
	if scale < -maxScale || scale > maxScale || bits > maxBits {
		return fmt.Errorf("quantity has an exponent of %d and %d bits, expected a quantity %s", -scale, bits, Form)
	}
	return nil
}
