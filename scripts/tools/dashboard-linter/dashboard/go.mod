// A stand-in for the one package that dashboard-linter takes from Grafana's own tree: see pkg/apis/dashboard/v2.
module github.com/grafana/grafana/apps/dashboard

go 1.26.0
