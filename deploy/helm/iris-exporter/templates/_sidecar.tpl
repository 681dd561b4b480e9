{{/*
For charts that depend on this one with `mode: sidecar`. Each takes this chart's context, which a parent chart has as
`.Subcharts`:

  initContainers:
    {{- include "iris-exporter.sidecarContainer" (index .Subcharts "iris-exporter") | nindent 4 }}
  volumes:
    {{- include "iris-exporter.sidecarVolumes" (index .Subcharts "iris-exporter") | nindent 4 }}

and, so that pods are replaced when the configuration changes,

  annotations:
    {{- include "iris-exporter.sidecarAnnotations" (index .Subcharts "iris-exporter") | nindent 4 }}
*/}}

{{/* A list of one native sidecar: it starts before the pod's containers and ends after them. */}}
{{- define "iris-exporter.sidecarContainer" -}}
{{- include "iris-exporter.validate" . }}
{{- $container := include "iris-exporter.container" (dict "root" . "workload" "" "fleet" false) | fromYaml }}
{{- $_ := set $container "restartPolicy" "Always" }}
{{- toYaml (list $container) }}
{{- end }}

{{/* A list of volumes. The pod's security context is not ours, so that files are readable by every user of the container. */}}
{{- define "iris-exporter.sidecarVolumes" -}}
{{- include "iris-exporter.volumes" (dict "root" . "mode" 292) | trim }}
{{- end }}

{{- define "iris-exporter.sidecarAnnotations" -}}
checksum/iris-exporter: {{ include "iris-exporter.configChecksum" . }}
{{- end }}
