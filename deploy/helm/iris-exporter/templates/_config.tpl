{{/* The configuration file, and the Secrets and ConfigMaps that it refers to. */}}

{{- define "iris-exporter.credentialsPath" -}}
/etc/iris-exporter/credentials
{{- end }}

{{- define "iris-exporter.configMapName" -}}
{{- .Values.existingConfigMap.name | default (printf "%s-config" (include "iris-exporter.fullname" .)) }}
{{- end }}

{{- define "iris-exporter.webConfigSecretName" -}}
{{- if .Values.web.existingConfigSecret.name }}
{{- .Values.web.existingConfigSecret.name }}
{{- else if .Values.web.config }}
{{- printf "%s-web" (include "iris-exporter.fullname" .) }}
{{- end }}
{{- end }}

{{- define "iris-exporter.inlineKeysSecretName" -}}
{{- printf "%s-inline-keys" (include "iris-exporter.fullname" .) }}
{{- end }}

{{/*
One stream, the defaults, or another client, in the program's own keys: references to Secrets become paths below the
credentials. Takes a dict: root, stream, and key, which names the inline key of this stream.
*/}}
{{- define "iris-exporter.stream" -}}
{{- $base := include "iris-exporter.credentialsPath" .root }}
{{- $stream := omit .stream "apiKey" "apiKeySecret" "tokenSecret" "headersSecret" "tlsCaSecret" "tlsCaConfigMap" "tlsClientSecret" }}
{{- with .stream.apiKey }}
{{- $_ := set $stream "api-key-file" (printf "%s/%s/%s" $base (include "iris-exporter.inlineKeysSecretName" $.root) $.key) }}
{{- end }}
{{- with .stream.apiKeySecret }}
{{- $_ := set $stream "api-key-file" (printf "%s/%s/%s" $base .name (.key | default "api-key")) }}
{{- end }}
{{- with .stream.tokenSecret }}
{{- $_ := set $stream "token-file" (printf "%s/%s/%s" $base .name (.key | default "token")) }}
{{- end }}
{{- with .stream.headersSecret }}
{{- $_ := set $stream "headers-file" (printf "%s/%s/%s" $base .name (.key | default "headers")) }}
{{- end }}
{{- with .stream.tlsCaSecret }}
{{- $_ := set $stream "tls-ca-file" (printf "%s/%s/%s" $base .name (.key | default "ca.crt")) }}
{{- end }}
{{- with .stream.tlsCaConfigMap }}
{{- $_ := set $stream "tls-ca-file" (printf "%s/configmap-%s/%s" $base .name (.key | default "ca.crt")) }}
{{- end }}
{{- with .stream.tlsClientSecret }}
{{- $_ := set $stream "tls-cert-file" (printf "%s/%s/tls.crt" $base .name) }}
{{- $_ := set $stream "tls-key-file" (printf "%s/%s/tls.key" $base .name) }}
{{- end }}
{{- with .stream.secrets }}
{{- if kindIs "map" . }}
{{- $secrets := dict }}
{{- range $name, $secret := . }}
{{- if kindIs "map" $secret }}
{{- $_ := set $secrets $name (printf "%s/%s/%s" $base $secret.name ($secret.key | default $name)) }}
{{- else }}
{{- $_ := set $secrets $name $secret }}
{{- end }}
{{- end }}
{{- $_ := set $stream "secrets" $secrets }}
{{- end }}
{{- end }}
{{- toYaml $stream }}
{{- end }}

{{- define "iris-exporter.configFile" -}}
{{- $streams := list }}
{{- range .Values.streams }}
{{- $streams = append $streams (include "iris-exporter.stream" (dict "root" $ "stream" . "key" .name) | fromYaml) }}
{{- end }}
{{- if .Values.demo.enabled }}
{{- $streams = append $streams (dict "name" "demo" "url" (printf "http://%s-demo:14748/api/stream/overview" (include "iris-exporter.fullname" .))) }}
{{- end }}
{{- $config := deepCopy .Values.config }}
{{- with .Values.streamDefaults }}
{{- $_ := set $config "defaults" (include "iris-exporter.stream" (dict "root" $ "stream" . "key" "defaults") | fromYaml) }}
{{- end }}
{{- with $streams }}
{{- $_ := set $config "streams" . }}
{{- end }}
{{- with .Values.mappings }}
{{- $_ := set $config "mappings" . }}
{{- end }}
{{- with .Values.live }}
{{- $_ := set $config "live" (include "iris-exporter.stream" (dict "root" $ "stream" . "key" "live") | fromYaml) }}
{{- end }}
{{- with .Values.discovery.httpClient }}
{{- $discovery := dict }}
{{- range $name, $value := include "iris-exporter.stream" (dict "root" $ "stream" . "key" "discovery") | fromYaml }}
{{- $_ := set $discovery (printf "http-%s" $name) $value }}
{{- end }}
{{- $_ := set $config "discovery" $discovery }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{/* Inline keys as a map from stream name to key; empty where there are none. */}}
{{- define "iris-exporter.inlineKeys" -}}
{{- $keys := dict }}
{{- with .Values.streamDefaults.apiKey }}{{ $_ := set $keys "defaults" . }}{{ end }}
{{- range .Values.streams }}
{{- $name := .name }}
{{- with .apiKey }}{{ $_ := set $keys $name . }}{{ end }}
{{- end }}
{{- with $keys }}{{ toYaml . }}{{ end }}
{{- end }}

{{/* The sources of the projected volume of credentials, as a list under `sources`; empty where there are none. */}}
{{- define "iris-exporter.credentialSources" -}}
{{- $secrets := dict }}
{{- $configMaps := dict }}
{{- range concat (list .Values.streamDefaults .Values.live .Values.discovery.httpClient) .Values.streams }}
{{- with .apiKeySecret }}{{ $_ := set $secrets (printf "%s/%s" .name (.key | default "api-key")) .name }}{{ end }}
{{- with .tokenSecret }}{{ $_ := set $secrets (printf "%s/%s" .name (.key | default "token")) .name }}{{ end }}
{{- with .headersSecret }}{{ $_ := set $secrets (printf "%s/%s" .name (.key | default "headers")) .name }}{{ end }}
{{- with .tlsCaSecret }}{{ $_ := set $secrets (printf "%s/%s" .name (.key | default "ca.crt")) .name }}{{ end }}
{{- with .tlsClientSecret }}
{{- $_ := set $secrets (printf "%s/tls.crt" .name) .name }}
{{- $_ := set $secrets (printf "%s/tls.key" .name) .name }}
{{- end }}
{{- if kindIs "map" .secrets }}
{{- range $key, $secret := .secrets }}
{{- if kindIs "map" $secret }}{{ $_ := set $secrets (printf "%s/%s" $secret.name ($secret.key | default $key)) $secret.name }}{{ end }}
{{- end }}
{{- end }}
{{- with .tlsCaConfigMap }}{{ $_ := set $configMaps (printf "%s/%s" .name (.key | default "ca.crt")) .name }}{{ end }}
{{- end }}
{{- range $key, $_ := include "iris-exporter.inlineKeys" . | fromYaml }}
{{- $name := include "iris-exporter.inlineKeysSecretName" $ }}
{{- $_ := set $secrets (printf "%s/%s" $name $key) $name }}
{{- end }}
{{- $sources := list }}
{{- range $name := values $secrets | uniq | sortAlpha }}
{{- $items := list }}
{{- range $path := keys $secrets | sortAlpha }}
{{- if eq (get $secrets $path) $name }}
{{- $items = append $items (dict "key" (trimPrefix (printf "%s/" $name) $path) "path" $path) }}
{{- end }}
{{- end }}
{{- $sources = append $sources (dict "secret" (dict "name" $name "items" $items)) }}
{{- end }}
{{- range $name := values $configMaps | uniq | sortAlpha }}
{{- $items := list }}
{{- range $path := keys $configMaps | sortAlpha }}
{{- if eq (get $configMaps $path) $name }}
{{- $items = append $items (dict "key" (trimPrefix (printf "%s/" $name) $path) "path" (printf "configmap-%s" $path)) }}
{{- end }}
{{- end }}
{{- $sources = append $sources (dict "configMap" (dict "name" $name "items" $items)) }}
{{- end }}
{{- with $sources }}{{ toYaml (dict "sources" .) }}{{ end }}
{{- end }}

{{/*
What a change of the chart's own configuration changes, so that pods are replaced then: all of it, or where the file is
watched what that does not take over.
*/}}
{{- define "iris-exporter.configChecksum" -}}
{{- if .Values.configWatch }}
{{- printf "%s%s" (toYaml .Values.config) (empty .Values.live | ternary "" (toYaml .Values.live)) | sha256sum }}
{{- else }}
{{- $parts := list (include "iris-exporter.inlineKeys" .) (toYaml .Values.web.config) }}
{{- if not .Values.existingConfigMap.name }}
{{- $parts = prepend $parts (include "iris-exporter.configFile" .) }}
{{- end }}
{{- join "\n" $parts | sha256sum }}
{{- end }}
{{- end }}

{{/* Names of what has to be there before a pod starts, as lists under `secret`, `configmap` and `pvc`; empty where nothing has. */}}
{{- define "iris-exporter.needed" -}}
{{- $v := .Values }}
{{- $secrets := list $v.web.existingConfigSecret.name $v.web.tlsSecret (and $v.otlp.enabled $v.otlp.headersSecret.name) }}
{{- $configMaps := list $v.existingConfigMap.name }}
{{- range (include "iris-exporter.credentialSources" . | fromYaml).sources }}
{{- with .secret }}{{ $secrets = append $secrets .name }}{{ end }}
{{- with .configMap }}{{ $configMaps = append $configMaps .name }}{{ end }}
{{- end }}
{{- if ne $v.discovery.kubernetes.role "none" }}
{{- range $v.discovery.kubernetes.secrets }}{{ $secrets = append $secrets .name }}{{ end }}
{{- end }}
{{- range $v.mappingConfigMaps }}{{ $configMaps = append $configMaps .name }}{{ end }}
{{- range $v.discovery.configMaps }}
{{- if not .optional }}{{ $configMaps = append $configMaps .name }}{{ end }}
{{- end }}
{{- range (include "iris-exporter.imagePullSecrets" . | fromYaml).imagePullSecrets }}{{ $secrets = append $secrets .name }}{{ end }}
{{- $secrets = without ($secrets | uniq) "" false (include "iris-exporter.inlineKeysSecretName" .) }}
{{- $needed := dict }}
{{- with $secrets }}{{ $_ := set $needed "secret" (sortAlpha .) }}{{ end }}
{{- with without ($configMaps | uniq) "" }}{{ $_ := set $needed "configmap" (sortAlpha .) }}{{ end }}
{{- with $v.state.existingClaim }}{{ $_ := set $needed "pvc" (list .) }}{{ end }}
{{- with $needed }}{{ toYaml . }}{{ end }}
{{- end }}
