{{/* The exporter's container, its volumes, and the pod around them. */}}

{{/*
A probe under its key. Takes a dict: root, key, and path of the program. None where the value is null. Where the port wants a password or a client certificate, which a
kubelet cannot give, it is only tried whether it accepts connections.
*/}}
{{- define "iris-exporter.probe" -}}
{{- $probe := get .root.Values .key }}
{{- if $probe }}
{{- if not (or $probe.httpGet $probe.tcpSocket $probe.exec $probe.grpc) }}
{{- $get := dict "path" .path "port" "http" }}
{{- if include "iris-exporter.tls" .root }}{{ $_ := set $get "scheme" "HTTPS" }}{{ end }}
{{- $handler := include "iris-exporter.authentication" .root | empty | ternary (dict "httpGet" $get) (dict "tcpSocket" (dict "port" "http")) }}
{{- $probe = merge $handler $probe }}
{{- end }}
{{- toYaml (dict .key $probe) }}
{{- end }}
{{- end }}

{{/* What is in front of every path, as the program makes it of its two options: no slash at the end, empty for none. */}}
{{- define "iris-exporter.routePrefix" -}}
{{- $path := .Values.web.routePrefix | default (get (urlParse .Values.web.externalUrl) "path") | trimAll "/" -}}
{{- with $path }}/{{ . }}{{ end }}
{{- end }}

{{/* Variables. Takes a dict: root, and workload, a list of the attribute's kind and value, or empty for a sidecar. */}}
{{- define "iris-exporter.env" -}}
{{- $v := .root.Values }}
{{- if $v.otlp.enabled }}
- name: K8S_NAMESPACE_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: K8S_POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: K8S_POD_UID
  valueFrom: {fieldRef: {fieldPath: metadata.uid}}
- name: K8S_NODE_NAME
  valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
- name: OTEL_RESOURCE_ATTRIBUTES
  value: k8s.namespace.name=$(K8S_NAMESPACE_NAME),k8s.pod.name=$(K8S_POD_NAME),k8s.pod.uid=$(K8S_POD_UID),k8s.node.name=$(K8S_NODE_NAME),k8s.container.name=iris-exporter,service.namespace=$(K8S_NAMESPACE_NAME),service.instance.id=$(K8S_NAMESPACE_NAME).$(K8S_POD_NAME).iris-exporter
    {{- with .workload }},{{ . }}{{ end }}
    {{- range $name, $value := $v.otlp.resourceAttributes }},{{ $name }}={{ include "iris-exporter.scalar" $value | urlquery | replace "+" "%20" }}{{ end }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ $v.otlp.endpoint | quote }}
- name: OTEL_EXPORTER_OTLP_PROTOCOL
  value: {{ $v.otlp.protocol | quote }}
- name: OTEL_TRACES_EXPORTER
  value: {{ $v.otlp.traces | ternary "otlp" "none" }}
- name: OTEL_LOGS_EXPORTER
  value: {{ $v.otlp.logs | ternary "otlp" "none" }}
- name: OTEL_METRICS_EXPORTER
  value: none
{{- with $v.otlp.headersSecret }}
{{- if .name }}
- name: OTEL_EXPORTER_OTLP_HEADERS
  valueFrom: {secretKeyRef: {name: {{ .name }}, key: {{ .key }}}}
{{- end }}
{{- end }}
{{- end }}
{{- range $v.extraEnv }}
{{- /* A variable is text, whatever it looks like. */}}
{{- $text := hasKey . "value" | ternary (dict "value" (include "iris-exporter.scalar" .value)) dict }}
- {{ toYaml (mergeOverwrite (deepCopy .) $text) | nindent 2 | trim }}
{{- end }}
{{- end }}

{{/*
The container as a map. Takes a dict: root, workload (see above), and fleet, true where the pod's ordinal is its shard.
*/}}
{{- define "iris-exporter.container" -}}
{{- $root := .root }}
{{- $v := $root.Values }}
name: iris-exporter
image: {{ include "iris-exporter.image" $root | quote }}
imagePullPolicy: {{ $v.image.pullPolicy }}
args:
  - --config.file=/etc/iris-exporter/config/{{ empty $v.existingConfigMap.name | ternary "config.yaml" $v.existingConfigMap.key }}
  {{- if $v.configWatch }}
  - --config.watch
  {{- end }}
  {{- range $v.mappingConfigMaps }}
  - --mapping-files=/etc/iris-exporter/mappings/{{ .name }}/*
  {{- end }}
  - --web.listen-address=:{{ include "iris-exporter.scalar" $v.web.port }}
  - --web.telemetry-path={{ $v.web.telemetryPath }}
  {{- with $v.web.externalUrl }}
  - --web.external-url={{ . }}
  {{- end }}
  {{- with $v.web.routePrefix }}
  - --web.route-prefix={{ . }}
  {{- end }}
  {{- with $v.alerts.grafanaUrl }}
  - --web.grafana-url={{ . }}
  {{- end }}
  {{- with $v.alerts.runbookBaseUrl }}
  - --web.runbook-base-url={{ . }}
  {{- end }}
  - --web.enable-control={{ $v.web.enableControl }}
  {{- if include "iris-exporter.webConfigSecretName" $root }}
  - --web.config.file=/etc/iris-exporter/web/{{ empty $v.web.existingConfigSecret.name | ternary "web.yaml" $v.web.existingConfigSecret.key }}
  {{- end }}
  - --log.level={{ $v.log.level }}
  - --log.format={{ $v.log.format }}
  {{- if ne $v.state.kind "none" }}
  - --state.dir={{ $v.state.mountPath }}
  {{- end }}
  {{- if .fleet }}
  - --shard=auto
  - --total-shards={{ include "iris-exporter.scalar" $v.sharding.shards }}
  {{- end }}
  {{- if $v.leaderElection.enabled }}
  - --leader-election
  - --fleet.lease-name={{ include "iris-exporter.leaseName" $root }}
  - --fleet.lease-namespace={{ include "iris-exporter.namespace" $root }}
  - --fleet.lease-duration={{ $v.leaderElection.leaseDuration }}
  {{- end }}
  {{- range $v.discovery.configMaps }}
  - --discovery.files=/etc/iris-exporter/discovery/{{ .name }}/*
  {{- end }}
  {{- range $v.discovery.files }}
  - --discovery.files={{ . }}
  {{- end }}
  {{- with $v.discovery.httpUrl }}
  - --discovery.http-url={{ . }}
  - --discovery.http-interval={{ $v.discovery.httpInterval }}
  {{- end }}
  {{- if ne $v.discovery.kubernetes.role "none" }}
  - --discovery.kubernetes={{ $v.discovery.kubernetes.role }}
  - --discovery.namespace={{ $v.discovery.kubernetes.namespace | default (include "iris-exporter.namespace" $root) }}
  {{- if $v.discovery.kubernetes.secrets }}
  - --discovery.secrets-dir=/etc/iris-exporter/discovery-secrets
  {{- end }}
  {{- end }}
  {{- with $v.extraArgs }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with include "iris-exporter.env" . | trim }}
env:
  {{- . | nindent 2 }}
{{- end }}
{{- with $v.extraEnvFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
ports:
  - name: http
    containerPort: {{ include "iris-exporter.scalar" $v.web.port }}
    protocol: TCP
{{- range $key, $path := dict "startupProbe" "/-/ready" "livenessProbe" "/-/healthy" "readinessProbe" "/-/ready" }}
{{- with include "iris-exporter.probe" (dict "root" $root "key" $key "path" (printf "%s%s" (include "iris-exporter.routePrefix" $root) $path)) }}
{{ . }}
{{- end }}
{{- end }}
{{- with $v.lifecycle }}
lifecycle:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $v.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml $v.securityContext | nindent 2 }}
volumeMounts:
  - name: iris-exporter-config
    mountPath: /etc/iris-exporter/config
    readOnly: true
  {{- if include "iris-exporter.credentialSources" $root }}
  - name: iris-exporter-credentials
    mountPath: {{ include "iris-exporter.credentialsPath" $root }}
    readOnly: true
  {{- end }}
  {{- if include "iris-exporter.webConfigSecretName" $root }}
  - name: iris-exporter-web
    mountPath: /etc/iris-exporter/web
    readOnly: true
  {{- end }}
  {{- if $v.web.tlsSecret }}
  - name: iris-exporter-tls
    mountPath: /etc/iris-exporter/tls
    readOnly: true
  {{- end }}
  {{- range $index, $_ := $v.mappingConfigMaps }}
  - name: iris-exporter-mappings-{{ $index }}
    mountPath: /etc/iris-exporter/mappings/{{ .name }}
    readOnly: true
  {{- end }}
  {{- range $index, $_ := $v.discovery.configMaps }}
  - name: iris-exporter-discovery-{{ $index }}
    mountPath: /etc/iris-exporter/discovery/{{ .name }}
    readOnly: true
  {{- end }}
  {{- if and (ne $v.discovery.kubernetes.role "none") $v.discovery.kubernetes.secrets }}
  - name: iris-exporter-discovery-secrets
    mountPath: /etc/iris-exporter/discovery-secrets
    readOnly: true
  {{- end }}
  {{- if ne $v.state.kind "none" }}
  - name: iris-exporter-state
    mountPath: {{ $v.state.mountPath }}
  {{- end }}
  {{- with $v.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{/* Volumes as a list. Takes a dict: root, and mode, the files' mode (decimal). */}}
{{- define "iris-exporter.volumes" -}}
{{- $v := .root.Values }}
{{- $mode := .mode }}
- name: iris-exporter-config
  configMap:
    name: {{ include "iris-exporter.configMapName" .root }}
{{- with include "iris-exporter.credentialSources" .root | fromYaml }}
{{- if .sources }}
- name: iris-exporter-credentials
  projected:
    defaultMode: {{ $mode }}
    sources:
      {{- toYaml .sources | nindent 6 }}
{{- end }}
{{- end }}
{{- with include "iris-exporter.webConfigSecretName" .root }}
- name: iris-exporter-web
  secret:
    secretName: {{ . }}
    defaultMode: {{ $mode }}
{{- end }}
{{- with $v.web.tlsSecret }}
- name: iris-exporter-tls
  secret:
    secretName: {{ . }}
    defaultMode: {{ $mode }}
{{- end }}
{{- range $index, $_ := $v.mappingConfigMaps }}
- name: iris-exporter-mappings-{{ $index }}
  configMap:
    name: {{ .name }}
{{- end }}
{{- range $index, $_ := $v.discovery.configMaps }}
- name: iris-exporter-discovery-{{ $index }}
  configMap:
    name: {{ .name }}
    optional: {{ .optional | default false }}
{{- end }}
{{- if and (ne $v.discovery.kubernetes.role "none") $v.discovery.kubernetes.secrets }}
- name: iris-exporter-discovery-secrets
  projected:
    defaultMode: {{ $mode }}
    sources:
      {{- range $v.discovery.kubernetes.secrets }}
      - secret:
          name: {{ .name }}
          items:
            - key: {{ .key | default "api-key" }}
              path: {{ .name }}/api-key
      {{- end }}
{{- end }}
{{- if eq $v.state.kind "emptyDir" }}
- name: iris-exporter-state
  emptyDir:
    sizeLimit: {{ $v.state.sizeLimit }}
{{- else if eq $v.state.kind "claim" }}
- name: iris-exporter-state
  persistentVolumeClaim:
    claimName: {{ $v.state.existingClaim | default (printf "%s-state" (include "iris-exporter.fullname" .root)) }}
{{- end }}
{{- with $v.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* What any pod of the chart's takes from the values, the demo backend's included. */}}
{{- define "iris-exporter.podPlacement" -}}
{{- range $key := list "nodeSelector" "tolerations" "priorityClassName" "runtimeClassName" "schedulerName" "hostAliases" "dnsPolicy" "dnsConfig" }}
{{- with get $.Values $key }}
{{ $key }}: {{ kindIs "string" . | ternary . (printf "\n  %s" (toYaml . | nindent 2 | trim)) }}
{{- end }}
{{- end }}
{{- end }}

{{/* The pod template. Takes a dict: root, workload, fleet. */}}
{{- define "iris-exporter.podTemplate" -}}
{{- $root := .root }}
{{- $v := $root.Values }}
metadata:
  labels:
    {{- toYaml (mergeOverwrite (omit (include "iris-exporter.commonLabels" $root | fromYaml) "helm.sh/chart") (deepCopy $v.podLabels) (include "iris-exporter.selectorLabels" $root | fromYaml)) | nindent 4 }}
  annotations:
    checksum/config: {{ include "iris-exporter.configChecksum" $root }}
    kubectl.kubernetes.io/default-container: iris-exporter
    {{- with $v.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  {{- with include "iris-exporter.imagePullSecrets" $root | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  serviceAccountName: {{ include "iris-exporter.serviceAccountName" $root }}
  automountServiceAccountToken: {{ eq (include "iris-exporter.needsApi" $root) "true" }}
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ include "iris-exporter.scalar" $v.terminationGracePeriodSeconds }}
  securityContext:
    {{- toYaml $v.podSecurityContext | nindent 4 }}
  {{- with include "iris-exporter.podPlacement" $root | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  affinity:
    {{- if $v.affinity }}
    {{- toYaml $v.affinity | nindent 4 }}
    {{- else }}
    podAntiAffinity:
      preferredDuringSchedulingIgnoredDuringExecution:
        - weight: 100
          podAffinityTerm:
            topologyKey: kubernetes.io/hostname
            labelSelector:
              matchLabels:
                {{- include "iris-exporter.selectorLabels" $root | nindent 16 }}
    {{- end }}
  {{- with $v.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- range . }}
    {{- $own := dict "labelSelector" (dict "matchLabels" (include "iris-exporter.selectorLabels" $root | fromYaml)) }}
    - {{ toYaml (hasKey . "labelSelector" | ternary . (merge $own .)) | nindent 6 | trim }}
    {{- end }}
  {{- end }}
  {{- with $v.extraInitContainers }}
  initContainers:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - {{ include "iris-exporter.container" . | nindent 6 | trim }}
    {{- with $v.extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    {{- include "iris-exporter.volumes" (dict "root" $root "mode" 288) | trim | nindent 4 }}
{{- end }}
