# What pint checks beyond its defaults: make tools && .tools/bin/pint --offline --config alerts/pint.hcl lint alerts/iris.rules.yaml
# None of its checks is switched off.
rule {
  match {
    kind = "alerting"
  }
  name "Iris[A-Z][A-Za-z]+" {
    severity = "bug"
  }
  label "severity" {
    required = true
    value    = "critical|warning|info"
    severity = "bug"
  }
  label "concern" {
    required = true
    value    = "link|source|exporter"
    severity = "bug"
  }
  annotation "summary" {
    required = true
    severity = "bug"
  }
  annotation "description" {
    required = true
    severity = "bug"
  }
  annotation "runbook_url" {
    required = true
    value    = "https?://.+#iris[a-z]+"
    severity = "bug"
  }
  annotation "dashboard_url" {
    required = true
    value    = ".+/iris-[a-z]+.*"
    severity = "bug"
  }
  for {
    max      = "12h"
    severity = "bug"
  }
}

rule {
  match {
    kind = "recording"
  }
  # level:metric:operation
  name "[a-z_]+:iris_[a-z_]+:[a-z]+[0-9]+[smhd]" {
    severity = "bug"
  }
}
