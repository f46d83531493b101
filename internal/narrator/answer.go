package narrator

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	strictjson "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/holdfast-dev/holdfast/rar"
)

const maxClaims = 24

// errAnswer says that an answer is not of the form that was asked for. What wraps it is for the model, in the second round, and quotes nothing.
var errAnswer = errors.New("the answer is not the JSON object that was asked for")

// judged is what became of an answer.
type judged struct {
	claims []rar.Claim
	// dropped are the objections, by the place of the claim in the answer.
	dropped []dropped
}

type dropped struct {
	at int
	*objection
}

// judge reads an answer strictly: one JSON object, without duplicate or unknown members. Of its claims each stands or falls by itself.
func judge(answer string, facts []rar.Fact, damaged func(refs []string) bool) (*judged, error) {
	var whole struct {
		Claims *[]jsontext.Value `json:"claims"`
	}
	if err := strictjson.Unmarshal([]byte(answer), &whole, strictjson.RejectUnknownMembers(true)); err != nil || whole.Claims == nil {
		return nil, fmt.Errorf(`%w: expected {"claims": [...]} and nothing around it, without duplicate or unknown members`, errAnswer)
	}
	known := map[string]*rar.Fact{}
	for i := range facts {
		known[facts[i].ID] = &facts[i]
	}
	j := &judged{}
	said := map[string]bool{}
	for i, text := range *whole.Claims {
		var c claim
		var bad *objection
		var tokens []token
		switch {
		case i >= maxClaims:
			bad = object(badCount, "the answer has more than %d claims", maxClaims)
		case strictjson.Unmarshal(text, &c, strictjson.RejectUnknownMembers(true)) != nil:
			bad = object(badSchema, `the claim is not {"section", "kind", "text", "facts"}`)
		default:
			if tokens, bad = check(&c, known); bad == nil && said[strings.ToLower(c.Text)] {
				bad = object(badRepetition, "the claim was made before")
			}
			said[strings.ToLower(c.Text)] = true
		}
		if bad != nil {
			j.dropped = append(j.dropped, dropped{i, bad})
			continue
		}
		j.claims = append(j.claims, told(&c, tokens, damaged))
	}
	return j, nil
}

// told is a claim with its values in place.
func told(c *claim, tokens []token, damaged func([]string) bool) rar.Claim {
	out := rar.Claim{Section: c.Section, Kind: c.Kind, Facts: []string{}, Refs: []string{}}
	var text strings.Builder
	for _, t := range tokens {
		switch {
		case t.fact != nil:
			if text.Len() > 0 {
				text.WriteByte(' ')
			}
			text.WriteString(t.fact.Shown())
			out.Facts = with(out.Facts, t.fact.ID)
			out.Refs = with(out.Refs, t.fact.Refs...)
		case strings.ContainsAny(t.text, ".,;:"):
			text.WriteString(t.text)
		default:
			if text.Len() > 0 {
				text.WriteByte(' ')
			}
			text.WriteString(t.text)
		}
	}
	out.Text = text.String()
	if !strings.HasSuffix(out.Text, ".") {
		out.Text += "."
	}
	if damaged(out.Refs) {
		out.Text += " (A row that says so was changed or moved.)"
	}
	return out
}

func with(list []string, more ...string) []string {
	for _, m := range more {
		if !slices.Contains(list, m) {
			list = append(list, m)
		}
	}
	return list
}

func head(text string, bytes int) string {
	if len(text) <= bytes {
		return text
	}
	return strings.ToValidUTF8(text[:bytes], "") + "…"
}
