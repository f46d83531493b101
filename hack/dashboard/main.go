// Command dashboard prints Holdfast's Grafana dashboard as JSON. `make generate` writes it to config/grafana/dashboard.json; test/e2e runs each of its queries against
// a Prometheus. It is in the module of the tools, so that whoever imports the libraries does not get Grafana's SDK.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

func main() {
	text, err := render()
	if err == nil {
		_, err = os.Stdout.Write(text)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "dashboard:", err)
		os.Exit(1)
	}
}

func render() ([]byte, error) {
	b := dashboard.NewDashboardBuilder("Holdfast").
		Uid("holdfast").
		Description("The audit trail of custom resources: is every change durable, and if not, why not.").
		Tags([]string{"holdfast"}).
		Time("now-6h", "now").
		Refresh("30s").
		Timezone("browser").
		Tooltip(dashboard.DashboardCursorSyncCrosshair).
		WithVariable(dashboard.NewDatasourceVariableBuilder("datasource").Label("Data source").Type("prometheus")).
		Link(dashboard.NewDashboardLinkBuilder("Runbooks").Type(dashboard.DashboardLinkTypeLink).TargetBlank(true).
			Url("https://github.com/holdfast-dev/holdfast/blob/main/docs/operations.md#alerts"))
	id := uint32(0)
	for _, row := range rows {
		id++
		b.WithRow(dashboard.NewRowBuilder(row.title).Id(id))
		for _, p := range row.panels {
			id++
			b.WithPanel(p.build(id))
		}
	}
	built, err := b.Build()
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(built); err != nil {
		return nil, err
	}
	return text.Bytes(), nil
}

// query is one line of a panel, or several with the same labels.
type query struct{ expr, legend string }

// panel is a graph, or with a limit one number, which is red from the limit on.
type panel struct {
	title, about, unit string
	width              uint32
	limit              float64
	queries            []query
}

// source is the data source that the reader chose.
var source = common.DataSourceRef{Type: cog.ToPtr("prometheus"), Uid: cog.ToPtr("${datasource}")}

func (p panel) build(id uint32) cog.Builder[dashboard.Panel] {
	if p.limit > 0 {
		b := stat.NewPanelBuilder().Id(id).Title(p.title).Description(p.about).Unit(p.unit).Span(p.width).Height(4).Datasource(source).
			ColorMode(common.BigValueColorModeBackground).
			ReduceOptions(common.NewReduceDataOptionsBuilder().Calcs([]string{"lastNotNull"})).
			Thresholds(dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).Steps([]dashboard.Threshold{
				{Color: "green"}, {Color: "red", Value: cog.ToPtr(p.limit)},
			}))
		for i, q := range p.queries {
			b.WithTarget(q.target(i))
		}
		return b
	}
	b := timeseries.NewPanelBuilder().Id(id).Title(p.title).Description(p.about).Unit(p.unit).Span(p.width).Height(8).Datasource(source).Min(0).
		LineWidth(1).FillOpacity(10).ShowPoints(common.VisibilityModeNever).
		Legend(common.NewVizLegendOptionsBuilder().ShowLegend(true).DisplayMode(common.LegendDisplayModeList).Placement(common.LegendPlacementBottom))
	for i, q := range p.queries {
		b.WithTarget(q.target(i))
	}
	return b
}

func (q query) target(i int) cog.Builder[variants.Dataquery] {
	return prometheus.NewDataqueryBuilder().Expr(q.expr).LegendFormat(q.legend).RefId(string(rune('A' + i))).Datasource(source)
}
