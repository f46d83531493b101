package main

import "fmt"

// quantiles are the median and the 99th percentile of a histogram.
func quantiles(histogram string) []query {
	var all []query
	for _, q := range []string{"0.5", "0.99"} {
		all = append(all, query{fmt.Sprintf("histogram_quantile(%s, sum by (le) (rate(%s_bucket[$__rate_interval])))", q, histogram), "p" + q[2:]})
	}
	all[0].legend = "p50"
	return all
}

// rate is a counter's, by labels.
func rate(counter, labels, legend string) []query {
	return []query{{fmt.Sprintf("sum by (%s) (rate(%s[$__rate_interval]))", labels, counter), legend}}
}

// apis are the graphs that all REST services have.
func apis(service string) []panel {
	prefix := "holdfast_" + service
	return []panel{
		{
			title: "Requests", about: "Requests per second, by status.", unit: "reqps", width: 8,
			queries: rate(prefix+`_requests_total{path=~"/api/.*"}`, "code", "{{code}}"),
		},
		{
			title: "Duration of requests", about: "From the request's header to the response.", unit: "s", width: 8,
			queries: quantiles(prefix + "_request_duration_seconds"),
		},
		{
			title: "Refused at a limit", about: "Requests per second, by the limit that refused them.", unit: "reqps", width: 8,
			queries: rate(prefix+"_shed_total", "reason", "{{reason}}"),
		},
	}
}

var rows = []struct {
	title  string
	panels []panel
}{
	{"Is every change durable?", []panel{
		{
			title: "Store", about: "0: the store accepts entries. 1: it does not; entries wait in their resources.", unit: "none", width: 4, limit: 1,
			queries: []query{{"max(holdfast_relay_breaker_open)", "paused"}},
		},
		{
			title: "Pending entries", about: "Entries that are not durable yet. Red from 10,000 on.", unit: "short", width: 4, limit: 10000,
			queries: []query{{"sum(holdfast_outbox_pending_entries)", "pending"}},
		},
		{
			title: "Oldest pending entry", about: "Red from five minutes on, as the alert HoldfastEntriesPendingTooLong.", unit: "s", width: 4, limit: 300,
			queries: []query{{"max(holdfast_outbox_oldest_pending_seconds)", "age"}},
		},
		{
			title: "Held by the finalizer", about: "Deleted resources that wait for their entries, or for the end of their record.", unit: "short", width: 4, limit: 100,
			queries: []query{{"sum(holdfast_finalizer_held)", "resources"}},
		},
		{
			title: "Dead letters", about: "Entries that the store refused, since the managers started. They are in the table audit_dead_letter.", unit: "short", width: 4, limit: 1,
			queries: []query{{"sum(holdfast_relay_dead_letters_total) or vector(0)", "entries"}},
		},
		{
			title: "Shards without a manager", about: "Shards that no manager leads.", unit: "short", width: 4, limit: 1,
			queries: []query{{"sum(max by (namespaces) (holdfast_manager_shards)) - sum(max by (namespaces, shard) (holdfast_manager_leading))", "shards"}},
		},
	}},
	{"Outboxes", []panel{
		{title: "Entries appended", about: "Entries per second that controllers saved with a change.", unit: "ops", width: 8, queries: rate("holdfast_outbox_appended_total", "kind", "{{kind}}")},
		{title: "Entries stored", about: "Entries per second that became rows.", unit: "ops", width: 8, queries: rate("holdfast_relay_persisted_total", "kind", "{{kind}}")},
		{
			title: "Pending entries", about: "Entries that are not durable yet, by kind.", unit: "short", width: 8,
			queries: []query{{"sum by (kind) (holdfast_outbox_pending_entries)", "{{kind}}"}},
		},
		{
			title: "Oldest pending entry", about: "Age of the oldest entry that is not durable yet, by kind.", unit: "s", width: 8,
			queries: []query{{"max by (kind) (holdfast_outbox_oldest_pending_seconds)", "{{kind}}"}},
		},
		{
			title: "Changes paused", about: "Changes per second that controllers paused because an outbox was full.", unit: "ops", width: 8,
			queries: rate("holdfast_outbox_full_total", "kind", "{{kind}}"),
		},
		{
			title: "Held by the finalizer", about: "Deleted resources that wait for the finalizer, by kind.", unit: "short", width: 8,
			queries: []query{{"sum by (kind) (holdfast_finalizer_held)", "{{kind}}"}},
		},
	}},
	{"Relay", []panel{
		{title: "Time until durable", about: "From the time of a change to the COMMIT of its entry.", unit: "s", width: 8, queries: quantiles("holdfast_relay_latency_seconds")},
		{title: "Duration of transactions", about: "One transaction stores one batch.", unit: "s", width: 8, queries: quantiles("holdfast_relay_flush_seconds")},
		{title: "Entries per transaction", about: "1,000 is the maximum: the database is then the bottleneck.", unit: "short", width: 8, queries: quantiles("holdfast_relay_batch_rows")},
		{title: "Transactions", about: "Transactions per second, by outcome.", unit: "ops", width: 8, queries: rate("holdfast_relay_flush_seconds_count", "outcome", "{{outcome}}")},
		{title: "Writes to the API server", about: "Writes of the relay per second: trims, releases, restored finalizers.", unit: "ops", width: 8, queries: rate("holdfast_relay_api_writes_total", "op", "{{op}}")},
		{
			title: "Findings", about: "Since the managers started: entries of another history, entries that the store lost, entries of resources that vanished.", unit: "short", width: 8,
			queries: []query{
				{"sum(holdfast_relay_conflicts_total)", "another history"},
				{"sum(holdfast_relay_gaps_total)", "lost by the store"},
				{`sum by (outcome) (holdfast_relay_departed_entries_total)`, "vanished: {{outcome}}"},
			},
		},
	}},
	{"Managers", []panel{
		{
			title: "Leading", about: "1 where a manager leads the shard.", unit: "none", width: 8,
			queries: []query{{"max by (namespaces, shard) (holdfast_manager_leading)", "shard {{shard}} {{namespaces}}"}},
		},
		{
			title: "Queued reconciles", about: "Resources that wait for their controller.", unit: "short", width: 8,
			queries: []query{{`sum by (name) (workqueue_depth{name=~"remediationrequest|aianalysis|workflowexecution|notificationrequest|outbox-relay-.*"})`, "{{name}}"}},
		},
		{
			title: "Failed reconciles", about: "Reconciles per second that ended with an error and are repeated.", unit: "ops", width: 8,
			queries: rate(`controller_runtime_reconcile_total{result="error"}`, "controller", "{{controller}}"),
		},
	}},
	{"Data Storage API", append(apis("storage"),
		panel{title: "Records", about: "Acknowledged records per second, by status.", unit: "ops", width: 12, queries: rate("holdfast_storage_records_total", "status", "{{status}}")},
		panel{title: "Duration of transactions", about: "Successful or not.", unit: "s", width: 12, queries: quantiles("holdfast_storage_commit_seconds")},
	)},
	{"Report API", append(apis("reports"),
		panel{title: "Reports", about: "Reports per second, by the state of their record.", unit: "ops", width: 8, queries: rate("holdfast_reports_built_total", "state", "{{state}}")},
		panel{title: "Duration of database snapshots", about: "All of a report is read in one snapshot.", unit: "s", width: 8, queries: quantiles("holdfast_reports_read_seconds")},
		panel{
			title: "Narratives", about: "Where a language model is configured: narratives per second, by result. generated: written by the model.", unit: "ops", width: 8,
			queries: rate("holdfast_reports_narratives_total", "result", "{{result}}"),
		},
	)},
	{"Gateway", append(apis("gateway"),
		panel{title: "Alerts", about: "Alerts per second, by result. again: not decided, and Alertmanager sends them again.", unit: "ops", width: 8, queries: rate("holdfast_gateway_alerts_total", "result", "{{result}}")},
		panel{title: "From an alert to its request", about: "From the start of the alert until its request is created, with the waiting of Prometheus and Alertmanager.", unit: "s", width: 8, queries: quantiles("holdfast_gateway_alert_delay_seconds")},
		panel{
			title: "Left out, or not used", about: "In the last half hour: alerts that Alertmanager left out of messages (max_alerts), and messages for a namespace whose ConfigMap cannot be used.", unit: "short", width: 8,
			queries: []query{
				{"sum(increase(holdfast_gateway_truncated_alerts_total[30m]))", "alerts left out"},
				{"sum(increase(holdfast_gateway_invalid_config_total[30m]))", "invalid ConfigMap"},
			},
		},
	)},
}
