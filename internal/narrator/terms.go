package narrator

// subject is what a sentence can be about. The target goes with every subject, the other facts of the signal with the outcome.
type subject string

const (
	aboutSignal         subject = "signal"
	aboutOutcome        subject = "outcome"
	aboutBottleneck     subject = "bottleneck"
	aboutInvestigation  subject = "investigation"
	aboutVerdict        subject = "verdict"
	aboutApproval       subject = "approval"
	aboutExecution      subject = "execution"
	aboutNotification   subject = "notification"
	aboutEffectiveness  subject = "effectiveness"
	aboutHistory        subject = "history"
	aboutRecommendation subject = "recommendation"
)

// term is how a fact can be put into words.
type term struct {
	about subject
	// before and after are the words of which one has to stand directly before or after the value: they say what it is.
	before, after []string
	// also are further words that may be said in a sentence with this fact.
	also []string
	// needs are words and facts, as {{name}}, of which one has to be in the clause, since words such as took can be said of anything.
	needs []string
	// with is the name of a fact without which this one misleads.
	with string
	// follows are the facts one of which has to be the one before this one in its clause, since this one is said of it. "" is none.
	follows []string
}

// whole are words for the remediation as a whole: of a part, they would say too much.
var whole = []string{"remediation", "record", "shows", "it", "this"}

// terms are those of the facts by name. A fact that is not among them is not told to the model.
var terms = map[string]term{
	"alert":    {about: aboutSignal, before: []string{"alert", "signal"}, after: []string{"fired"}},
	"severity": {about: aboutSignal, before: []string{"severity"}},
	"target":   {about: aboutSignal, before: []string{"on", "target"}},
	"received": {about: aboutSignal, before: []string{"received"}, also: []string{"alert", "signal"}},

	"outcome": {about: aboutOutcome, before: []string{"outcome", "ended", "result"}, also: whole},
	"reason":  {about: aboutOutcome, before: []string{"reason", "because"}, also: whole, follows: []string{"outcome"}},
	"total":   {about: aboutOutcome, before: []string{"total", "took", "lasted", "after", "in"}, also: append([]string{"time"}, whole...), needs: []string{"total", "remediation", "it", "this", "{{outcome}}"}},

	"bottleneck":       {about: aboutBottleneck, before: []string{"bottleneck", "phase"}, after: []string{"took"}, also: []string{"longest", "time"}, needs: []string{"bottleneck", "phase", "longest", "time"}},
	"bottleneck_time":  {about: aboutBottleneck, before: []string{"took", "time", "lasted", "for"}, also: []string{"it"}, needs: []string{"bottleneck", "phase", "longest"}},
	"bottleneck_share": {about: aboutBottleneck, before: []string{"share"}, also: []string{"time"}, needs: []string{"{{bottleneck}}", "{{bottleneck_time}}"}},

	"investigator":       {about: aboutInvestigation, before: []string{"by", "investigator"}, after: []string{"took", "investigated", "found", "recommended"}, also: []string{"investigation"}},
	"investigation_time": {about: aboutInvestigation, before: []string{"took", "lasted", "for", "after", "in"}, also: []string{"investigation"}, needs: []string{"investigation", "{{investigator}}"}},
	"root_cause":         {about: aboutInvestigation, before: []string{"cause", "found"}, also: []string{"root", "investigation"}},
	"action":             {about: aboutInvestigation, before: []string{"action", "recommended"}},
	"confidence":         {about: aboutInvestigation, before: []string{"confidence"}, follows: []string{"action"}},
	"no_action_reason":   {about: aboutInvestigation, before: []string{"reason", "because"}, also: []string{"inaction"}, needs: []string{"inaction"}, follows: []string{"", "investigator"}},
	"analysis_failure":   {about: aboutInvestigation, before: []string{"failure", "error"}, also: []string{"investigation"}, follows: []string{"", "investigator", "investigation_time"}},

	"verdict":        {about: aboutVerdict, before: []string{"verdict", "judged"}, also: []string{"recommendation"}},
	"verdict_reason": {about: aboutVerdict, before: []string{"reason", "because"}, also: []string{"verdict"}, follows: []string{"verdict"}},

	"approval":      {about: aboutApproval, before: []string{"decision", "approval"}},
	"decided_by":    {about: aboutApproval, before: []string{"by"}, after: []string{"decided"}, also: []string{"decision", "approval"}},
	"justification": {about: aboutApproval, before: []string{"justification", "reason", "because"}, also: []string{"decision"}, follows: []string{"", "approval", "decided_by"}},
	"wait":          {about: aboutApproval, before: []string{"wait", "waited", "took", "for", "after", "in"}, also: []string{"decision", "approval", "time"}, needs: []string{"decision", "approval", "wait", "waited"}},

	"workflow":          {about: aboutExecution, before: []string{"workflow"}, after: []string{"ran"}},
	"acted_as":          {about: aboutExecution, before: []string{"account"}, also: []string{"workflow", "acted"}},
	"steps":             {about: aboutExecution, before: []string{"steps"}, after: []string{"steps"}, also: []string{"workflow"}},
	"steps_succeeded":   {about: aboutExecution, before: []string{"successful"}, after: []string{"successful"}, also: []string{"steps"}, with: "steps"},
	"retries":           {about: aboutExecution, before: []string{"retries"}, after: []string{"retries"}, also: []string{"workflow"}},
	"rollbacks":         {about: aboutExecution, before: []string{"rollbacks"}, after: []string{"rollbacks"}, also: []string{"workflow"}},
	"execution_time":    {about: aboutExecution, before: []string{"took", "lasted", "for", "in"}, also: []string{"ran", "workflow", "execution"}, needs: []string{"workflow", "execution"}},
	"execution_failure": {about: aboutExecution, before: []string{"failure", "error"}, also: []string{"workflow", "execution"}, follows: []string{"", "workflow", "acted_as", "execution_time"}},

	"told":     {about: aboutNotification, before: []string{"through"}, also: []string{"delivered", "notification"}, needs: []string{"delivered", "notification"}},
	"not_told": {about: aboutNotification, before: []string{"undelivered"}, also: []string{"notification"}},

	"held":            {about: aboutEffectiveness, before: []string{"held"}, also: []string{"repair"}},
	"held_window":     {about: aboutEffectiveness, before: []string{"within", "window"}, with: "held"},
	"came_back_after": {about: aboutEffectiveness, before: []string{"after"}, also: []string{"alert", "signal", "returned"}, needs: []string{"returned"}},

	"comparable":         {about: aboutHistory, after: []string{"comparable"}, also: []string{"remediations"}},
	"comparable_success": {about: aboutHistory, before: []string{"successful"}, after: []string{"successful"}, with: "comparable"},
	"comparable_rate":    {about: aboutHistory, before: []string{"rate"}, also: []string{"success", "comparable", "remediations"}},
	"comparable_mean":    {about: aboutHistory, before: []string{"mean"}, also: []string{"time", "comparable", "remediations"}},
	"longer":             {about: aboutHistory, after: []string{"longer"}, also: []string{"than", "mean", "comparable", "remediations", "it", "this", "remediation"}},

	"recommendation":       {about: aboutRecommendation, before: []string{"recommendation"}},
	"recommendation_basis": {about: aboutRecommendation, before: []string{"basis", "because"}, also: []string{"recommendation"}, follows: []string{"", "recommendation"}},
}

// The words that need no fact. They say nothing by themselves.
var (
	// passing are those that are passed over between a value and the word that says what it is.
	passing = set("the", "a", "an", "of", "at", "was", "were", "is", "as", "may", "might", "could", "be", "likely")
	neutral = set("the", "a", "an", "of", "was", "were", "is", "as", "and", "with", "at", "on", "to", "for", "from", "had", "has", "have")
	// pointing words point at what was said before, which may be another subject.
	pointing = set("it", "this")
	// introducing a value is all that these may do: elsewhere they say what came first, or what lies where.
	introducing = set("after", "in", "within", "through")
	// hedging words are for inferences and recommendations, advising ones for recommendations.
	hedging  = set("likely", "possibly", "probably", "perhaps", "may", "might", "could", "be", "suggests", "seems", "appears", "indicates", "points", "worth", "attention", "due", "consistent", "related")
	advising = set("consider", "review", "check", "discuss", "examine", "revisit", "should", "whether", "look", "into", "shorter", "shorten")
	// beside are labels that claim something, and so stand directly at their value. verbs need a fact that they are done to.
	beside = set("held", "successful", "judged", "longer", "ended", "undelivered", "by")
	// doer is what has to stand before by.
	doer  = set("decision", "approval", "decided", "investigation", "found", "recommended")
	verbs = map[string]string{"ran": "execution_time", "delivered": "told", "recommended": "action", "found": "root_cause", "approval": "approval"}
	// auxiliary verbs come after their subject, which may begin with one of articles.
	auxiliary = set("was", "were", "is", "had", "has", "have")
	articles  = set("the", "a", "an")
	// lasting verbs are said of what stands before them, and lasts are the facts that may.
	lasting = set("took", "lasted")
	lasts   = set("alert", "target", "outcome", "bottleneck", "investigator", "approval", "decided_by", "workflow")
	// happens is what happens to a signal: how its remediation ends comes later. one and others are the two sides of a comparison.
	happens = set("fired", "received")
	one     = set("it", "this", "remediation")
	others  = set("mean", "comparable", "remediations")
)

func set(words ...string) map[string]bool {
	all := map[string]bool{}
	for _, w := range words {
		all[w] = true
	}
	return all
}

// labels are all words that say what a value is: each has a place only in a clause with such a value. before and after are those that do so from one side.
var (
	labels = labelsOf(func(t term) [][]string { return [][]string{t.before, t.after, t.also} })
	before = labelsOf(func(t term) [][]string { return [][]string{t.before} })
	after  = labelsOf(func(t term) [][]string { return [][]string{t.after} })
)

func labelsOf(lists func(term) [][]string) map[string]bool {
	all := map[string]bool{}
	for _, t := range terms {
		for _, list := range lists(t) {
			for _, w := range list {
				all[w] = true
			}
		}
	}
	return all
}
