// What dashboard-linter's own go.mod replaces, which counts only where it is the main module.
replace github.com/hashicorp/memberlist => github.com/grafana/memberlist v0.3.1-0.20251126142931-6f9f62ab6f86

// The schema of V2 dashboards; see there.
replace github.com/grafana/grafana/apps/dashboard => ../../../scripts/tools/dashboard-linter/dashboard
