package rar

import (
	"cmp"
	"encoding/json"
	"slices"

	"github.com/holdfast-dev/holdfast/models"
)

// subject is what belongs to the remediation: its request, and the children that the request's records name. Anybody may post rows under any id, so everything else is other.
type subject struct {
	// trails have the request first, then its children in the order in which they are named.
	trails []*trail
	// posted is true if no resource with this id has a row: then the trails are what was posted over REST, a trail for each table.
	posted bool
	// guessed is true if the request's rows name none of its children: these are then the first resource of each kind under its id.
	guessed bool
	// uncounted is how many children come after maxChildren.
	uncounted int
	other     []OtherRows
}

// maxChildren is how many resources of a request count. A request makes five; its record, which its namespace can write, may name thousands.
const maxChildren = 50

// invoked reports whether a record of the request says that it invoked a service.
func invoked(request []models.Row) bool {
	return slices.ContainsFunc(request, func(r models.Row) bool {
		o, ok := r.(*models.OrchestrationRow)
		return ok && len(o.ServicesInvoked) > 0
	})
}

// firstOfEach are the resources beside the request, the first one of each kind.
func firstOfEach(byUID map[string][]models.Row, request string) []models.Child {
	var all []models.Child
	for _, service := range []string{serviceAnalysis, serviceExecution, serviceNotification} {
		var first models.Row
		for uid, rows := range byUID {
			for _, r := range rows {
				if uid == request || r.Table() != tableOf[service] || r.Head().SourceNamespace != byUID[request][0].Head().SourceNamespace || r.Head().SourceCluster != byUID[request][0].Head().SourceCluster {
					continue
				}
				if first == nil || cmp.Or(r.Head().RecordedAt.Compare(first.Head().RecordedAt.Time), cmp.Compare(r.Head().ID, first.Head().ID)) < 0 {
					first = r
				}
			}
		}
		if first != nil {
			all = append(all, models.Child{Service: service, UID: first.Head().SourceUID, Name: first.Head().SourceName})
		}
	}
	return all
}

// trail is the rows of one resource in the order of their sequence, or what one caller posted into one table, in the order of arrival.
type trail struct {
	service string
	table   string // of the kind that the resource is said to be, empty if nobody says
	uid     string
	name    string // as its rows say, else as the request says
	rows    []models.Row
	letters []*models.DeadLetter
	posted  bool
}

// Services, as orchestration records name them, and the tables of their rows.
const (
	serviceRequest      = "RemediationRequest"
	serviceAnalysis     = "AIAnalysis"
	serviceExecution    = "WorkflowExecution"
	serviceNotification = "Notification"
)

var tableOf = map[string]string{
	serviceRequest: models.TableOrchestration, serviceAnalysis: models.TableAIAnalysis, serviceExecution: models.TableExecution, serviceNotification: models.TableNotification,
}

func serviceOf(table string) string {
	for service, t := range tableOf {
		if t == table {
			return service
		}
	}
	return "Resource"
}

func findSubject(in *Input) *subject {
	byUID := map[string][]models.Row{}
	var posted []models.Row
	for _, r := range in.Rows {
		if h := r.Head(); h.Sequence == 0 || h.SourceUID == "" {
			posted = append(posted, r)
		} else {
			byUID[h.SourceUID] = append(byUID[h.SourceUID], r)
		}
	}
	for _, r := range in.Resources {
		byUID[r.SourceUID] = append(byUID[r.SourceUID], r)
	}
	letters := map[string][]*models.DeadLetter{}
	for i := range in.DeadLetters {
		d := &in.DeadLetters[i]
		letters[d.SourceUID] = append(letters[d.SourceUID], d)
	}

	s := &subject{}
	own := map[string]bool{}
	add := func(service, table, uid, name string) {
		if own[uid] {
			return
		}
		own[uid] = true
		s.trails = append(s.trails, newTrail(service, table, uid, name, byUID[uid], letters[uid]))
	}
	if id := in.RemediationID; len(byUID[id]) > 0 || len(letters[id]) > 0 {
		table := models.TableOrchestration
		if rows := byUID[id]; len(rows) > 0 {
			sortRows(rows)
			table = rows[0].Table()
		}
		add(serviceOf(table), table, id, "")
		children := namedChildren(s.trails[0])
		if len(children) == 0 && invoked(byUID[id]) {
			children, s.guessed = firstOfEach(byUID, id), true
		}
		uncounted := map[string]bool{}
		for _, c := range children {
			if len(s.trails) > maxChildren && !own[c.UID] {
				uncounted[c.UID] = true
				continue
			}
			add(c.Service, tableOf[c.Service], c.UID, c.Name)
		}
		s.uncounted = len(uncounted)
	}
	if len(s.trails) == 0 {
		s.posted = true
		posted = s.takePosted(posted)
	}
	s.setApart(byUID, own, posted)
	s.setOthersApart(in.Others)
	s.sortOthers()
	return s
}

func newTrail(service, table, uid, name string, rows []models.Row, letters []*models.DeadLetter) *trail {
	sortRows(rows)
	slices.SortFunc(letters, func(a, b *models.DeadLetter) int {
		return cmp.Or(cmp.Compare(a.Sequence, b.Sequence), cmp.Compare(a.ID, b.ID), slices.Compare(a.EntryHash, b.EntryHash))
	})
	t := &trail{service: service, table: table, uid: uid, name: name, rows: rows, letters: letters}
	if len(rows) > 0 {
		t.name = cmp.Or(rows[0].Head().SourceName, name)
	}
	return t
}

func sortRows(rows []models.Row) {
	slices.SortFunc(rows, func(a, b models.Row) int {
		x, y := a.Head(), b.Head()
		return cmp.Or(cmp.Compare(x.Sequence, y.Sequence), x.RecordedAt.Compare(y.RecordedAt.Time), cmp.Compare(a.Table(), b.Table()), cmp.Compare(x.ID, y.ID))
	})
}

// namedChildren are those of every record of the request, the last one's first: a child that an earlier record named is the remediation's all the same. A record that is a dead letter counts, too.
func namedChildren(request *trail) []models.Child {
	var all []models.Child
	for _, r := range slices.Backward(request.rows) {
		if o, ok := r.(*models.OrchestrationRow); ok {
			all = append(all, o.Children...)
		}
	}
	for _, d := range request.letters {
		var entry struct {
			Record struct {
				Children []models.Child `json:"children"`
			} `json:"record"`
		}
		if json.Unmarshal(d.Text(), &entry) == nil {
			all = append(all, entry.Record.Children...)
		}
	}
	return slices.DeleteFunc(all, func(c models.Child) bool { return c.UID == "" })
}

// takePosted makes trails of what was posted over REST, and returns what does not belong to them. In each table the caller who came first is believed, since the time of arrival is
// the server's: who posts later under an id that is in use changes no figure.
func (s *subject) takePosted(posted []models.Row) (others []models.Row) {
	sortRows(posted)
	trails := map[string]*trail{}
	for _, r := range posted {
		h := r.Head()
		t := trails[r.Table()]
		if t == nil {
			t = &trail{service: serviceOf(r.Table()), table: r.Table(), posted: true, name: h.SourceName}
			trails[r.Table()] = t
		} else if t.rows[0].Head().RecordedBy != h.RecordedBy {
			others = append(others, r)
			continue
		}
		t.rows = append(t.rows, r)
	}
	for _, table := range models.Tables() {
		if t := trails[table]; t != nil {
			s.trails = append(s.trails, t)
		}
	}
	return others
}

// setApart lists what does not belong to the remediation.
func (s *subject) setApart(byUID map[string][]models.Row, own map[string]bool, posted []models.Row) {
	groups := map[OtherRows]int{}
	for uid, rows := range byUID {
		if own[uid] {
			continue
		}
		for _, r := range rows {
			h := r.Head()
			groups[OtherRows{Table: r.Table(), Namespace: h.SourceNamespace, Name: h.SourceName, SourceUID: uid, Why: whyNotNamed}]++
		}
	}
	for _, r := range posted {
		h := r.Head()
		groups[OtherRows{Table: r.Table(), Namespace: h.SourceNamespace, Name: h.SourceName, SourceUID: h.SourceUID, RecordedBy: h.RecordedBy, Why: s.whyPosted()}]++
	}
	s.other = []OtherRows{}
	for g, n := range groups {
		g.Rows = n
		s.other = append(s.other, g)
	}
}

// setOthersApart lists those whose rows were counted. Of a caller whose posted rows make the report they are counted, too.
func (s *subject) setOthersApart(others []Other) {
	for _, o := range others {
		listed := OtherRows{Table: o.Table, Namespace: o.Namespace, Name: o.Name, SourceUID: o.SourceUID, RecordedBy: o.RecordedBy, Rows: int(o.Rows), AtLeast: o.AtLeast, Why: whyNotNamed}
		switch {
		case o.Rest:
			listed.Why = whyRest
		case o.SourceUID == "" && s.believes(o.Table, o.RecordedBy):
			continue
		case o.SourceUID == "":
			listed.Why = s.whyPosted()
		}
		s.other = append(s.other, listed)
	}
}

// believes reports whether the rows that a caller posted into a table make the report.
func (s *subject) believes(table, caller string) bool {
	return slices.ContainsFunc(s.trails, func(t *trail) bool { return t.posted && t.table == table && t.rows[0].Head().RecordedBy == caller })
}

const (
	whyNotNamed = "The request's records do not name this resource as a child."
	whyRest     = "Rows of further resources and callers, which are not named one by one."
)

func (s *subject) whyPosted() string {
	if s.posted {
		return "Another caller was the first to post under this id."
	}
	return "Rows that were posted over REST do not count where the remediation's own resource has rows."
}

func (s *subject) sortOthers() {
	slices.SortFunc(s.other, func(a, b OtherRows) int {
		return cmp.Or(cmp.Compare(a.Table, b.Table), cmp.Compare(a.SourceUID, b.SourceUID), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.RecordedBy, b.RecordedBy),
			cmp.Compare(a.Why, b.Why))
	})
}

// last is the newest row of a service that has a table of its own, nil if there is none.
func last[R models.Row](s *subject) (row R, found *trail) {
	for _, t := range s.trails {
		if r, ok := lastOf[R](t); ok {
			return r, t
		}
	}
	return row, nil
}

func lastOf[R models.Row](t *trail) (row R, ok bool) {
	for _, r := range slices.Backward(t.rows) {
		if row, ok = r.(R); ok {
			return row, true
		}
	}
	return row, false
}

// closed reports whether the trail's newest row closed the record.
func (t *trail) closed() bool { return len(t.rows) > 0 && t.rows[len(t.rows)-1].Head().Final }
