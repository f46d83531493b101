package holmesgpt_test

import (
	"fmt"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/holdfast-dev/holdfast/controllers/aianalysis/investigator"
)

// answerWith is the good answer with something else in one place.
func answerWith(old, replacement string) string {
	if !strings.Contains(good, old) {
		panic(fmt.Sprintf("the good answer has no %q", old))
	}
	return strings.Replace(good, old, replacement, 1)
}

const listed = `[{"name":"toRevision","value":"4"}]`

// Whatever models write around the one answer: it is the same answer.
func TestOneAnswerIsFoundInWhatModelsWrite(t *testing.T) {
	for name, analysis := range map[string]string{
		"alone":                            good,
		"white space around it":            "\r\n\t " + good + " \n\n",
		"a BOM":                            "\uFEFF" + good,
		"a BOM and white space":            "\uFEFF\n" + good,
		"prose before it":                  "Here is my analysis of the alert:\n\n" + good,
		"prose before it on the same line": "Answer: " + good,
		"prose after it":                   good + "\nLet me know if I shall look at the other pods, too.",
		"a fence":                          "```\n" + good + "\n```",
		"a fence of json":                  "```json\n" + good + "\n```",
		"a fence of JSON":                  "```JSON\n" + good + "\n```\n",
		"a fence of json5":                 "```json5\n" + good + "\n```",
		"a fence of jsonc":                 "```jsonc\n" + good + "\n```",
		"a fence of tildes":                "~~~json\n" + good + "\n~~~",
		"a fence of four":                  "````json\n" + good + "\n````",
		"a fence that does not end":        "```json\n" + good,
		"a fence in prose":                 "The analysis:\n```json\n" + good + "\n```\nThat is all.",
		"another fence before it":          "```yaml\nselector: {app: cart}\n```\n```json\n" + good + "\n```",
		"reasoning before it":              "<think>\nThe pods crash since revision 5.\n</think>\n\n" + good,
		"reasoning with a draft":           "<think>" + answerWith("rollout-undo", "restart-pods") + " no, that does not help</think>" + good,
		"reasoning with braces":            "<think>{\"root_cause\": {{</think>```json\n" + good + "```",
		"reasoning twice":                  "<think>a</think>\n<thinking>b</thinking>\n" + good,
		"reasoning behind a BOM":           "\uFEFF<think>a</think>" + good,
		"an array of one":                  "[" + good + "]",
		"an array of one in a fence":       "```json\n[\n" + good + "\n]\n```",
		"braces in prose":                  "The selector {app=cart} and the template {{ .Values.image }} look right: {} " + good,
		"a quote in braces":                `A log line says {"level and another {"level": x, so: ` + good,
		"another object before it":         `The labels are {"app":"cart","nested":{"root_cause":"x","workflow":"scale"}}. ` + good,
		"the same twice":                   good + "\n\nAs JSON:\n" + good,
		"parameters as an object":          answerWith(listed, `{"toRevision":"4"}`),
		"a number as a parameter":          answerWith(listed, `{"toRevision":4}`),
		"a number in the list":             answerWith(`"value":"4"`, `"value":4`),
		"an unknown member":                answerWith(`"root_cause":`, `"schema_version":"1","root_cause":`),
		"fences in its prose":              answerWith("the rollout", "the ```rollout```"),
		"reasoning's tags in its prose":    answerWith("the rollout", "the <think>rollout</think>"),
		"braces in its prose":              answerWith("the rollout", `the \"{\"rollout\"}\"`),
		"an escaped name":                  answerWith(`"root_cause"`, `"root\u005fcause"`),
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			f, err := ask(t, serve(t, chat(analysis)))
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(f.RootCause).To(Equal("cart crashes since revision 5"))
			g.Expect(f.RootCauseConfidence).To(BeEquivalentTo(92))
			g.Expect(f.Recommendation).NotTo(BeNil(), f.NoActionReason)
			g.Expect(f.Recommendation.WorkflowID).To(Equal("rollout-undo"))
			g.Expect(f.Recommendation.Parameters).To(Equal(map[string]string{"toRevision": "4"}))
			g.Expect(f.Recommendation.Confidence).To(BeEquivalentTo(88))
			g.Expect(f.Alternatives).To(ConsistOf(investigator.Alternative{Action: "increase-memory", Confidence: 10, RejectedReason: "nothing was killed", WorkflowID: "increase-memory"}))
		})
	}
	t.Run("a BOM before the body", func(t *testing.T) {
		g := NewWithT(t)
		f, err := ask(t, serve(t, body("\uFEFF"+`{"analysis":"{\"root_cause\":\"x\",\"root_cause_confidence\":1,\"workflow\":null,\"no_action_reason\":\"y\"}"}`)))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(f.NoActionReason).To(Equal("y"))
		g.Expect(f.RootCauseConfidence).To(BeEquivalentTo(1), "the whole number is a percentage")
	})
}

func TestParametersAreTheTextsThatTheyAreWrittenAs(t *testing.T) {
	for name, c := range map[string]struct {
		parameters string
		want       map[string]string
	}{
		"numbers and booleans": {`{"a":3,"b":0.50,"c":true,"d":9007199254740993}`, map[string]string{"a": "3", "b": "0.50", "c": "true", "d": "9007199254740993"}},
		"null is not given":    {`[{"name":"a","value":null}]`, map[string]string{"a": ""}},
		"none":                 {`null`, map[string]string{}},
		"an empty list":        {`[]`, map[string]string{}},
		"an empty object":      {`{}`, map[string]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			f, err := investigate(t, answerWith(listed, c.parameters))
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(f.Recommendation.Parameters).To(Equal(c.want))
		})
	}
}

// An answer that can be read in two ways, or that leaves out what decides, is none. It is asked for again.
func TestAmbiguousAnswersAreUnusable(t *testing.T) {
	for name, c := range map[string]struct{ analysis, says string }{
		"a fraction":                             {answerWith(`:92`, `:0.95`), "root_cause_confidence: confidence is 0.95, which may be a fraction of 1, expected a whole percentage from 0 to 100"},
		"one as a fraction":                      {answerWith(`:88.9`, `:1.0`), "action_confidence: confidence is 1.0, which may be a fraction of 1"},
		"one with an exponent":                   {answerWith(`:88.9`, `:1e0`), "action_confidence: confidence is 1e0, which may be a fraction of 1"},
		"a tiny fraction":                        {answerWith(`:88.9`, `:1e-300`), "may be a fraction of 1"},
		"a fraction for an alternative":          {answerWith(`:10`, `:0.1`), "alternatives/0/confidence: confidence is 0.1"},
		"no confidence in the cause":             {answerWith(`"root_cause_confidence":92,`, ``), "root_cause_confidence is missing, expected a whole percentage from 0 to 100"},
		"no confidence in the action":            {answerWith(`"action_confidence":88.9,`, ``), "action_confidence is missing"},
		"no confidence in an alternative":        {answerWith(`"confidence":10,`, ``), "alternatives/0/confidence is missing"},
		"null for a confidence":                  {answerWith(`:88.9`, `:null`), "action_confidence: confidence is null"},
		"a confidence as text":                   {answerWith(`:88.9`, `:"88"`), `confidence is "88"`},
		"a confidence in other case":             {answerWith(`"action_confidence"`, `"Action_Confidence"`), "action_confidence is missing"},
		"no workflow":                            {answerWith(`"workflow":"rollout-undo",`, ``), `expected the name of one, or "none"`},
		"a workflow that is no text":             {answerWith(`"rollout-undo"`, `["rollout-undo"]`), `expected the name of one, or "none"`},
		"a parameter twice":                      {answerWith(listed, `[{"name":"toRevision","value":"4"},{"name":"toRevision","value":"3"}]`), `parameters: 1/name is "toRevision", which is given twice`},
		"a parameter twice, the same value":      {answerWith(listed, `[{"name":"toRevision","value":"4"},{"name":"toRevision","value":"4"}]`), "which is given twice"},
		"a parameter twice in an object":         {answerWith(listed, `{"toRevision":"4","toRevision":"3"}`), `duplicate object member name "toRevision"`},
		"a parameter twice, once escaped":        {answerWith(listed, `{"toRevision":"4","toR\u0065vision":"3"}`), "duplicate object member name"},
		"a parameter's value twice":              {answerWith(listed, `[{"name":"toRevision","value":"4","value":"3"}]`), `duplicate object member name "value"`},
		"a parameter that is an object":          {answerWith(listed, `{"toRevision":{"value":"4"}}`), "parameters/toRevision: value is {"},
		"a parameter that is a list":             {answerWith(`"value":"4"`, `"value":["4"]`), "parameters/0/value: value is ["},
		"parameters as text":                     {answerWith(listed, `"toRevision=4"`), "parameters: it is \"toRevision=4\", expected a list of names and values, or an object"},
		"a member twice":                         {answerWith(`"action_confidence":88.9`, `"action_confidence":10,"action_confidence":88.9`), `duplicate object member name "action_confidence"`},
		"a workflow twice":                       {answerWith(`"workflow":"rollout-undo"`, `"workflow":"none","workflow":"rollout-undo"`), `duplicate object member name "workflow"`},
		"a member of an alternative twice":       {answerWith(`"confidence":10`, `"confidence":10,"confidence":90`), `duplicate object member name "confidence"`},
		"two different answers":                  {good + "\n" + answerWith("rollout-undo", "restart-pods"), "it has two different answers, expected one"},
		"an array of two":                        {"[" + good + "," + answerWith(":92", ":91") + "]", "it has two different answers, expected one"},
		"an answer in a quoted log, and another": {"The log says `" + answerWith("rollout-undo", "restart-pods") + "`. So:\n" + good, "it has two different answers, expected one"},
		"an answer behind a tag from a log":      {good + "\nThe log says </think>" + answerWith("rollout-undo", "restart-pods"), "it has two different answers, expected one"},
		"a tag from a log before the answer":     {"The log says <think>. " + good + "\nand </think>" + answerWith("rollout-undo", "restart-pods"), "it has two different answers, expected one"},
		"an answer that quotes another, cut off": {`{"root_cause":"the log says "` + good + `","root_cause_confidence":92`, "does not match the JSON schema"},
		"one that is cut off":                    {good[:len(good)-30], "does not match the JSON schema: "},
		"reasoning that does not end":            {"<think>" + good, "it starts with <think> and has no </think>"},
		"an answer in another object":            {`{"answer":` + good + `}`, "it has no JSON object with the members root_cause and workflow"},
		"no object":                              {`["rollout-undo"]`, "it has no JSON object"},
		"comments":                               {answerWith(`"workflow"`, "// that is it\n\"workflow\""), "does not match the JSON schema: "},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			_, err := investigate(t, c.analysis)
			g.Expect(err).To(MatchError(investigator.ErrAnswer))
			g.Expect(err).To(MatchError(ContainSubstring(c.says)))
			g.Expect(len(err.Error())).To(BeNumerically("<", 2000))
		})
	}
	t.Run("the analysis twice", func(t *testing.T) {
		_, err := ask(t, serve(t, body(`{"analysis":"{}","analysis":"{}"}`)))
		NewWithT(t).Expect(err).To(MatchError(ContainSubstring(`duplicate object member name "analysis"`)))
	})
}

// Whoever writes logs and labels may have a model write anything: the work grows with the length only. Were it quadratic, this test would not end.
func TestHostileAnswersTakeLinearTime(t *testing.T) {
	const most = 1 << 20
	fill := func(part string) string { return strings.Repeat(part, most/len(part)) }
	for name, analysis := range map[string]string{
		"braces":                            fill("{"),
		"braces and blanks":                 fill("{   \n"),
		"braces and quotes":                 fill(`{"`),
		"braces and escaped quotes":         `{"` + fill(`{"\"`),
		"objects in objects":                fill(`{"a":`),
		"objects in lists":                  fill(`{"a":[`),
		"answers in answers":                fill(`{"root_cause":`),
		"texts that do not end":             fill(`{"a": "b`),
		"objects":                           fill(`{"a":1}`),
		"objects in one that does not end":  `{"a":[` + fill(`{"a":1},`),
		"lists":                             fill("["),
		"blanks":                            fill(" "),
		"tags":                              fill("<think></think>"),
		"tags that do not end":              fill("<think>"),
		"numbers":                           `{"a":` + fill("1"),
		"names":                             `{"a":{` + fill(`"b":1,`),
		"equal answers, then another":       strings.Repeat(good, most/len(good)-1) + answerWith(":92", ":91"),
		"parameters":                        answerWith(listed, `[`+strings.TrimSuffix(strings.Repeat(`{"name":"a","value":"b"},`, 150_000), ",")+`]`),
		"different parameters that nest":    answerWith(listed, strings.Repeat(`{"a":`, 9000)+"1"+strings.Repeat("}", 9000)),
		"objects with long names, in a row": fill(`{"` + strings.Repeat("a", 1000) + `":`),
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			_, err := investigate(t, analysis)
			g.Expect(err).To(MatchError(investigator.ErrAnswer))
			g.Expect(len(err.Error())).To(BeNumerically("<", 2000))
		})
	}
}
