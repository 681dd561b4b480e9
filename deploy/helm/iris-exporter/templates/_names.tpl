{{/* Names, labels and images. Every template takes the chart's root context unless it says otherwise. */}}

{{- define "iris-exporter.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* 52 characters leave room for the suffixes of our own, and for a StatefulSet's revision hash. */}}
{{- define "iris-exporter.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "iris-exporter.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride }}
{{- end }}

{{- define "iris-exporter.selectorLabels" -}}
app.kubernetes.io/name: {{ include "iris-exporter.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: exporter
{{- end }}

{{- define "iris-exporter.demo.selectorLabels" -}}
app.kubernetes.io/name: {{ include "iris-exporter.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: demo-backend
{{- end }}

{{- define "iris-exporter.test.selectorLabels" -}}
app.kubernetes.io/name: {{ include "iris-exporter.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: test
{{- end }}

{{/* What all objects carry, beside a component. */}}
{{- define "iris-exporter.commonLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: iris
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/*
metadata: of an object. Takes a dict: root, and optionally name, namespace, component, labels and annotations.
*/}}
{{- define "iris-exporter.metadata" -}}
{{- $root := .root -}}
{{- $selector := include (eq .component "demo-backend" | ternary "iris-exporter.demo.selectorLabels" "iris-exporter.selectorLabels") $root | fromYaml -}}
{{- $labels := mergeOverwrite (include "iris-exporter.commonLabels" $root | fromYaml) (deepCopy (.labels | default dict)) $selector -}}
{{- $annotations := mergeOverwrite (deepCopy $root.Values.commonAnnotations) (deepCopy (.annotations | default dict)) -}}
name: {{ .name | default (include "iris-exporter.fullname" $root) }}
namespace: {{ .namespace | default (include "iris-exporter.namespace" $root) }}
labels:
  {{- toYaml $labels | nindent 2 }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* IP families of a Service to the exporter; empty where the cluster's default is wanted. */}}
{{- define "iris-exporter.ipFamilies" -}}
{{- with .Values.service.ipFamilyPolicy }}
ipFamilyPolicy: {{ . }}
{{- end }}
{{- with .Values.service.ipFamilies }}
ipFamilies:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "iris-exporter.image" -}}
{{- $registry := .Values.global.imageRegistry | default .Values.image.registry }}
{{- $name := empty $registry | ternary .Values.image.repository (printf "%s/%s" $registry .Values.image.repository) }}
{{- if .Values.image.digest }}
{{- printf "%s@%s" $name .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" $name (.Values.image.tag | default .Chart.AppVersion) }}
{{- end }}
{{- end }}

{{/* A list; both forms in use, `name` and {name: name}, are accepted. */}}
{{- define "iris-exporter.imagePullSecrets" -}}
{{- $secrets := list }}
{{- range concat .Values.global.imagePullSecrets .Values.imagePullSecrets }}
{{- $secrets = append $secrets (kindIs "string" . | ternary (dict "name" .) .) }}
{{- end }}
{{- with $secrets | uniq }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "iris-exporter.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- .Values.serviceAccount.name | default (include "iris-exporter.fullname" .) }}
{{- else }}
{{- .Values.serviceAccount.name | default "default" }}
{{- end }}
{{- end }}

{{- define "iris-exporter.leaseName" -}}
{{- .Values.leaderElection.leaseName | default (include "iris-exporter.fullname" .) }}
{{- end }}

{{/* "true" where the exporter speaks to the API server, else empty. */}}
{{- define "iris-exporter.needsApi" -}}
{{- if or .Values.leaderElection.enabled (ne .Values.discovery.kubernetes.role "none") }}true{{ end }}
{{- end }}

{{/*
The `job` of the chart's own targets as a regular expression, as the Prometheus Operator forms it: the value of the label
jobLabel, or else the name of the Service, or namespace and name of the PodMonitor. Empty where there is no monitor.
*/}}
{{- define "iris-exporter.job" -}}
{{- $v := .Values }}
{{- $label := $v.serviceMonitor.jobLabel }}
{{- if $v.prometheusRule.job }}
{{- $v.prometheusRule.job }}
{{- else if $v.serviceMonitor.enabled }}
{{- $labels := mergeOverwrite (include "iris-exporter.commonLabels" . | fromYaml) (deepCopy $v.service.labels) (include "iris-exporter.selectorLabels" . | fromYaml) }}
{{- get $labels $label | default (include "iris-exporter.fullname" .) | regexQuoteMeta }}
{{- else if $v.podMonitor.enabled }}
{{- $labels := mergeOverwrite (omit (include "iris-exporter.commonLabels" . | fromYaml) "helm.sh/chart") (deepCopy $v.podLabels) (include "iris-exporter.selectorLabels" . | fromYaml) }}
{{- $own := eq $v.mode "sidecar" | ternary "" (get $labels $label) }}
{{- $own | default (printf "%s/%s" ($v.serviceMonitor.namespace | default (include "iris-exporter.namespace" .)) (include "iris-exporter.fullname" .)) | regexQuoteMeta }}
{{- end }}
{{- end }}

{{/* What links to runbooks begin with in the rules and dashboards of this chart: RUNBOOKS of alerts/thresholds.py. */}}
{{- define "iris-exporter.runbooks" -}}
{{- .Files.Get "files/alerts/iris.rules.yaml" | regexFind "runbook_url: [^#]+" | trimPrefix "runbook_url: " }}
{{- end }}

{{/* "true" where the exporter's port speaks TLS, else empty. */}}
{{- define "iris-exporter.tls" -}}
{{- if or .Values.web.tls (hasKey .Values.web.config "tls_server_config") }}true{{ end }}
{{- end }}

{{/* "true" where the exporter's port asks for a password or a client certificate, else empty. */}}
{{- define "iris-exporter.authentication" -}}
{{- $tls := .Values.web.config.tls_server_config | default dict }}
{{- if or .Values.web.authentication .Values.web.config.basic_auth_users (eq "RequireAndVerifyClientCert" ($tls.client_auth_type | default "")) }}true{{ end }}
{{- end }}

{{/*
A text, number or truth of the values as a person would write it. Helm reads every number of a values file as a floating
point one, and prints a large one as 1e+06; where toYaml prints it, this is not needed.
*/}}
{{- define "iris-exporter.scalar" -}}
{{- kindIs "string" . | ternary . (toJson .) }}
{{- end }}
