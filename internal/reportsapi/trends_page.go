package reportsapi

import (
	"bytes"
	"net/http"
	"net/url"
	"time"

	"github.com/holdfast-dev/holdfast/internal/serving/httpapi"
	"github.com/holdfast-dev/holdfast/rar"
)

// trendsPage shows the trends of a window.
func (s *Server) trendsPage(x *httpapi.Exchange, r *request) *httpapi.Problem {
	start, end, since := s.pageWindow(r.params)
	asked := s.trendOf(r, start, end)
	if bad := r.refused(); bad != nil {
		return bad
	}
	in, refused := s.trendsInput(r, asked)
	if refused != nil {
		return refused
	}
	q := r.question()
	q.Del("since")
	q.Set("start", start.Format(time.RFC3339))
	q.Set("end", end.Format(time.RFC3339))
	fields := append([]rar.Field{r.field("Alert", "alert", "PodOOMKilled"), r.field("Workflow", "workflow", "restart-pods")}, r.namespaceFields()...)
	site := &rar.Site{Section: pathTrendsPage, Ranges: rangesOf(pathTrendsPage, r, since), Fields: append(fields, r.windowFields(start, end)...), Commands: trendsCommands(q)}
	trends := rar.BuildTrends(in)
	if unchanged(x, r, tagOfTrends(trends, pageFormat.name+"?"+r.URL.RawQuery)) {
		return nil
	}
	var text bytes.Buffer
	if err := rar.RenderTrendsPage(&text, trends, site); err != nil {
		return s.failed(err)
	}
	s.write(x, http.StatusOK, pageFormat.contentType, text.Bytes())
	return nil
}

func trendsCommands(q url.Values) []string {
	return []string{
		"holdfast rar trends" + flags(q, [][2]string{{"start", "--start"}, {"end", "--end"}, {"namespace", "--namespace"}, {"alert", "--alert"}, {"workflow", "--workflow"}}) + " -o json",
		curl(pathTrends + "?" + q.Encode()),
	}
}
