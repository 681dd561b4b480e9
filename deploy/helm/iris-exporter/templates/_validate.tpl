{{/*
Mistakes that need several values to be seen. values.schema.json refuses most of them first; this also holds where
schemas are skipped, and says what to do in full.
*/}}
{{- define "iris-exporter.validate" -}}
{{- $v := .Values }}
{{- include "iris-exporter.validateStreams" . }}
{{- include "iris-exporter.validateClients" . }}
{{- include "iris-exporter.validateWeb" . }}
{{- $fleet := eq $v.mode "statefulset" }}
{{- if and (eq $v.mode "deployment") (gt (int $v.replicaCount) 1) (not $v.leaderElection.enabled) }}
{{- fail (printf "replicaCount is %d, and each replica would count every event: set leaderElection.enabled=true (one reads, the others stand by), or mode=statefulset with sharding.shards (each stream on one of them)." (int $v.replicaCount)) }}
{{- end }}
{{- if and $fleet (gt (int $v.sharding.replicasPerShard) 1) (not $v.leaderElection.enabled) }}
{{- fail "sharding.replicasPerShard is above 1, and each of them would count every event of the shard: set leaderElection.enabled=true." }}
{{- end }}
{{- if and (eq $v.mode "deployment") (not $v.leaderElection.enabled) $v.strategy }}
{{- $rolling := $v.strategy.rollingUpdate | default dict }}
{{- if and (ne "Recreate" ($v.strategy.type | default "RollingUpdate")) (not (has (toString $rolling.maxSurge) (list "0" "0%"))) }}
{{- fail "strategy starts the new pod before the old one has ended, and both would count every event: leave it empty, or set type=Recreate, or rollingUpdate.maxSurge=0 with maxUnavailable=1, or leaderElection.enabled=true." }}
{{- end }}
{{- end }}
{{- if and $v.autoscaling.enabled (gt (int $v.autoscaling.minReplicas) (int $v.autoscaling.maxReplicas)) }}
{{- fail (printf "autoscaling.minReplicas is %d, which is above autoscaling.maxReplicas, %d: exchange them." (int $v.autoscaling.minReplicas) (int $v.autoscaling.maxReplicas)) }}
{{- end }}
{{- if and $v.podDisruptionBudget.enabled (kindIs "invalid" $v.podDisruptionBudget.minAvailable) (kindIs "invalid" $v.podDisruptionBudget.maxUnavailable) }}
{{- fail "podDisruptionBudget has neither minAvailable nor maxUnavailable: set one of them." }}
{{- end }}
{{- if and (not $fleet) (or (ne 2 (int $v.sharding.shards)) (gt (int $v.sharding.replicasPerShard) 1)) }}
{{- fail (printf "sharding is set, and mode=%s divides no streams: set mode=statefulset, or leave sharding out." $v.mode) }}
{{- end }}
{{- if and (eq $v.mode "sidecar") (or $v.networkPolicy.enabled $v.podDisruptionBudget.enabled) }}
{{- fail "networkPolicy.enabled and podDisruptionBudget.enabled do nothing for a sidecar: its pods are yours, make the objects for them." }}
{{- end }}
{{- if and (include "iris-exporter.needsApi" .) $v.rbac.create (not $v.serviceAccount.name) (or (eq $v.mode "sidecar") (not $v.serviceAccount.create)) }}
{{- fail "leader election and discovery need permissions, which would go to the account `default` of all pods of the namespace: name the account of these pods in serviceAccount.name, or set rbac.create=false and give the permissions yourself." }}
{{- end }}
{{- if and $v.autoscaling.enabled (or (ne $v.mode "deployment") (not $v.leaderElection.enabled)) }}
{{- fail "autoscaling.enabled needs mode=deployment with leaderElection.enabled=true: shards are a setting (sharding.shards), because changing their number moves streams." }}
{{- end }}
{{- if and $v.serviceMonitor.enabled $v.podMonitor.enabled }}
{{- fail "serviceMonitor.enabled and podMonitor.enabled would scrape every pod twice: choose one." }}
{{- end }}
{{- if and $v.serviceMonitor.enabled (or (eq $v.mode "sidecar") (not $v.service.enabled)) }}
{{- fail "serviceMonitor.enabled needs the Service of this chart: set service.enabled=true and a mode other than sidecar, or use podMonitor.enabled." }}
{{- end }}
{{- if and (eq $v.mode "sidecar") $v.podMonitor.enabled (not $v.podMonitor.selector) }}
{{- fail "podMonitor.selector is empty, and the pods of a sidecar are yours: give it their labels, such as podMonitor.selector.app=backend." }}
{{- end }}
{{- if and (or $v.ingress.enabled $v.httpRoute.enabled) (or (eq $v.mode "sidecar") (not $v.service.enabled)) }}
{{- fail "ingress.enabled and httpRoute.enabled need the Service of this chart: set service.enabled=true and a mode other than sidecar." }}
{{- end }}
{{- if and $v.serviceMonitor.basicAuth (or $v.serviceMonitor.authorization $v.serviceMonitor.oauth2) }}
{{- fail "serviceMonitor.basicAuth beside authorization or oauth2 would be two Authorization headers: choose one." }}
{{- end }}
{{- if and $v.serviceMonitor.authorization $v.serviceMonitor.oauth2 }}
{{- fail "serviceMonitor.authorization and serviceMonitor.oauth2 would be two Authorization headers: choose one." }}
{{- end }}
{{- if and $v.serviceMonitor.noProxy (not $v.serviceMonitor.proxyUrl) }}
{{- fail "serviceMonitor.noProxy is an exception from serviceMonitor.proxyUrl, which is empty: set it, too." }}
{{- end }}
{{- include "iris-exporter.validateService" . }}
{{- if and (eq $v.state.kind "claimPerPod") (not $fleet) }}
{{- fail "state.kind=claimPerPod needs mode=statefulset; use claim." }}
{{- end }}
{{- if and $v.state.existingClaim (ne $v.state.kind "claim") }}
{{- fail (printf "state.existingClaim is set, and state.kind=%s would not use it: set state.kind=claim." $v.state.kind) }}
{{- end }}
{{- $several := or (and $fleet (or (gt (int $v.sharding.shards) 1) (gt (int $v.sharding.replicasPerShard) 1))) (and (eq $v.mode "deployment") (or (gt (int $v.replicaCount) 1) $v.autoscaling.enabled)) }}
{{- if and (eq $v.state.kind "claim") (not $v.state.existingClaim) $several (not (has "ReadWriteMany" $v.state.accessModes)) }}
{{- fail "state.kind=claim is one volume for several pods here: set state.accessModes to [ReadWriteMany] with a storage class that has it, or state.kind=claimPerPod (statefulset) or emptyDir." }}
{{- end }}
{{- if and $v.otlp.enabled (not $v.otlp.endpoint) }}
{{- fail "otlp.enabled is true and otlp.endpoint is empty: give the address of a collector, such as http://otel-collector.observability:4318." }}
{{- end }}
{{- if $v.otlp.metrics }}
{{- fail "otlp.metrics is true, and metrics are not pushed any more: set it to false, and let the collector scrape /metrics (its prometheus receiver)." }}
{{- end }}
{{- if $v.otlp.enabled }}
{{- $own := include "iris-exporter.env" (dict "root" (dict "Values" (mergeOverwrite (deepCopy $v) (dict "extraEnv" list))) "workload" "") | fromYamlArray }}
{{- range $v.extraEnv }}
{{- $name := .name }}
{{- range $own }}
{{- if eq .name $name }}
{{- fail (printf "extraEnv sets %s, which otlp sets as well: say it by a value of otlp, such as otlp.resourceAttributes, or set otlp.enabled=false and all of OTEL_* in extraEnv." $name) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- with include "iris-exporter.seconds" $v.serviceMonitor.scrapeTimeout }}
{{- $interval := include "iris-exporter.seconds" $v.serviceMonitor.interval }}
{{- if and $interval (gt (float64 .) (float64 $interval)) }}
{{- fail (printf "serviceMonitor.scrapeTimeout, %s, is longer than serviceMonitor.interval, %s, and the Prometheus Operator would leave the monitor out: make it shorter." $v.serviceMonitor.scrapeTimeout $v.serviceMonitor.interval) }}
{{- end }}
{{- end }}
{{- if not $v.allowInlineApiKeys }}
{{- if include "iris-exporter.inlineKeys" . }}
{{- fail "a stream has apiKey, which would be kept in the values and in the release's history: put it into a Secret and name that in apiKeySecret (name, key), or set allowInlineApiKeys=true." }}
{{- end }}
{{- end }}
{{- if and $v.existingConfigMap.name (or $v.streams $v.streamDefaults $v.config $v.mappings $v.demo.enabled $v.live $v.discovery.httpClient) }}
{{- fail "existingConfigMap.name is the whole configuration: streams, streamDefaults, config, mappings, live, discovery.httpClient and demo.enabled cannot be used beside it." }}
{{- end }}
{{- if and $v.web.existingConfigSecret.name $v.web.config }}
{{- fail "web.existingConfigSecret.name and web.config are two web configurations: choose one." }}
{{- end }}
{{- if not (or $v.streams $v.demo.enabled $v.existingConfigMap.name $v.discovery.configMaps $v.discovery.files $v.discovery.httpUrl (ne $v.discovery.kubernetes.role "none")) }}
{{- fail "there is nothing to read: give streams (a list of name and url), existingConfigMap.name or a way of discovery, or set demo.enabled=true to look around." }}
{{- end }}
{{- end }}

{{/* What the API server would refuse, or leave unused without a word. */}}
{{- define "iris-exporter.validateService" -}}
{{- $s := .Values.service }}
{{- if ne $s.type "LoadBalancer" }}
{{- range $key := list "loadBalancerIP" "loadBalancerSourceRanges" "loadBalancerClass" }}
{{- if get $s $key }}
{{- fail (printf "service.%s is set, and service.type=%s makes no load balancer: set service.type=LoadBalancer." $key $s.type) }}
{{- end }}
{{- end }}
{{- if kindIs "bool" $s.allocateLoadBalancerNodePorts }}
{{- fail (printf "service.allocateLoadBalancerNodePorts is set, and service.type=%s makes no load balancer: set service.type=LoadBalancer." $s.type) }}
{{- end }}
{{- end }}
{{- if and (eq $s.type "ClusterIP") $s.externalTrafficPolicy }}
{{- fail "service.externalTrafficPolicy is set, and service.type=ClusterIP lets nothing in from outside: set service.type=NodePort or LoadBalancer." }}
{{- end }}
{{- if and (gt (len $s.ipFamilies) 1) (not (hasSuffix "DualStack" $s.ipFamilyPolicy)) }}
{{- fail "service.ipFamilies names two families, and a Service has one without a policy: set service.ipFamilyPolicy to PreferDualStack or RequireDualStack." }}
{{- end }}
{{- end }}

{{/* What the program would refuse, or what would stand in the ConfigMap and must not. Values are not repeated: they may be keys. */}}
{{- define "iris-exporter.validateStreams" -}}
{{- $v := .Values }}
{{- $names := dict }}
{{- $endpoints := dict }}
{{- range $index, $stream := concat (list (mergeOverwrite (deepCopy $v.streamDefaults) (dict "name" ""))) ($v.streams | default list) }}
{{- $place := eq $index 0 | ternary "streamDefaults" (printf "the stream %s" .name) }}
{{- include "iris-exporter.validateCredentials" (dict "place" $place "client" $stream) }}
{{- range $key := list "url" "snapshot-url" }}
{{- if regexMatch "(?i)[?&][^=&]*(api[-_]?key|token|secret|passw|pwd|signature|jwt)[^=&]*=" (get $stream $key | default "") }}
{{- fail (printf "%s has a key in the parameters of its %s, which stands in the ConfigMap: put the key into a Secret and name that in apiKeySecret (name, key)." $place $key) }}
{{- end }}
{{- if contains "@" (get $stream $key | default "" | splitList "?" | first) }}
{{- fail (printf "%s has a user or password in its %s, which stands in the ConfigMap: put the key into a Secret and name that in apiKeySecret (name, key)." $place $key) }}
{{- end }}
{{- end }}
{{- if gt $index 0 }}
{{- if hasKey $names .name }}
{{- fail (printf "two streams are called %s: give each a name of its own, which is its label in the metrics." .name) }}
{{- end }}
{{- $_ := set $names .name true }}
{{- $url := urlParse (regexReplaceAll "^ws" .url "http") }}
{{- $port := eq $url.scheme "https" | ternary ":443" ":80" }}
{{- /* With a mapping one address may bring what a parameter asks for. */}}
{{- $asked := printf "%s %s" (get . "mapping" | default (get $v.streamDefaults "mapping") | default "iris") (get . "parameters" | default dict | toJson) }}
{{- $endpoint := printf "%s://%s%s?%s %s" $url.scheme (trimSuffix $port $url.host) ($url.path | default "/") $url.query $asked }}
{{- if hasKey $endpoints $endpoint }}
{{- fail (printf "the streams %s and %s have the same url, and its events would be counted twice: remove one of them." (get $endpoints $endpoint) .name) }}
{{- end }}
{{- $_ := set $endpoints $endpoint .name }}
{{- $protocol := get . "protocol" | default (get $v.streamDefaults "protocol") }}
{{- if and (has $protocol (list "sse" "poll")) (hasPrefix "ws" .url) }}
{{- fail (printf "%s has protocol=%s and a WebSocket's url: write http:// or https://." $place $protocol) }}
{{- end }}
{{- end }}
{{- end }}
{{- if and $v.demo.enabled (hasKey $names "demo") }}
{{- fail "a stream is called demo, as demo.enabled calls its own: give it another name." }}
{{- end }}
{{- end }}

{{/* Credentials that are said twice, or in plain text. Takes a dict: place, for messages, and client, a stream or what has its form. */}}
{{- define "iris-exporter.validateCredentials" -}}
{{- range $names := list (list "apiKey" "apiKeySecret" "api-key-file") (list "tokenSecret" "token-file") (list "headersSecret" "headers-file") (list "tlsCaSecret" "tlsCaConfigMap" "tls-ca-file") (list "tlsClientSecret" "tls-cert-file") }}
{{- $ways := list }}
{{- range $way := $names }}
{{- if hasKey $.client $way }}{{ $ways = append $ways $way }}{{ end }}
{{- end }}
{{- if gt (len $ways) 1 }}
{{- fail (printf "%s has %s: choose one." $.place (join " and " $ways)) }}
{{- end }}
{{- end }}
{{- if regexMatch "(?i)authorization|cookie|api[-_]?key|token|secret|passw" (include "iris-exporter.headerNames" .client.headers) }}
{{- fail (printf "%s has a header that looks like a key, and headers stand in the ConfigMap: put the line (`Name: value`) into a Secret and name that in headersSecret (name, key)." .place) }}
{{- end }}
{{- end }}

{{/* The same for servers that are no streams. */}}
{{- define "iris-exporter.validateClients" -}}
{{- $v := .Values }}
{{- include "iris-exporter.validateCredentials" (dict "place" "live" "client" $v.live) }}
{{- include "iris-exporter.validateCredentials" (dict "place" "discovery.httpClient" "client" $v.discovery.httpClient) }}
{{- if and $v.live $v.config.live }}
{{- fail "live and config.live are two sections of one name: move what is in config.live to live." }}
{{- end }}
{{- if and $v.live (not $v.live.url) }}
{{- fail "live has no url, and nothing would be pushed: give the address of the Grafana, such as https://grafana.example.com." }}
{{- end }}
{{- if and $v.discovery.httpClient (not $v.discovery.httpUrl) }}
{{- fail "discovery.httpClient is for the questions to discovery.httpUrl, which is empty: set it, too." }}
{{- end }}
{{- end }}

{{/* Names of headers, a line each, of any form that they can be given in: a map, a list of lines, or lines. */}}
{{- define "iris-exporter.headerNames" -}}
{{- if kindIs "map" . }}
{{- keys . | sortAlpha | join "\n" }}
{{- else }}
{{- range kindIs "slice" . | ternary . (splitList "\n" (. | default "" | toString)) }}
{{- splitList ":" (toString .) | first }}
{{ end }}
{{- end }}
{{- end }}

{{/* A secured port that is none would be worse than an error. */}}
{{- define "iris-exporter.validateWeb" -}}
{{- $v := .Values }}
{{- $tls := $v.web.config.tls_server_config | default dict }}
{{- if and $v.web.tlsSecret (not $tls) (not $v.web.existingConfigSecret.name) }}
{{- fail "web.tlsSecret is set, and nothing says to use it, so that the port would speak plain HTTP: set web.config.tls_server_config with cert_file=/etc/iris-exporter/tls/tls.crt and key_file=/etc/iris-exporter/tls/tls.key." }}
{{- end }}
{{- range $key := list "cert_file" "key_file" "client_ca_file" }}
{{- if and (hasPrefix "/etc/iris-exporter/tls/" (get $tls $key | default "")) (not $v.web.tlsSecret) }}
{{- fail (printf "web.config.tls_server_config.%s lies below /etc/iris-exporter/tls, where nothing is mounted: name a Secret of type kubernetes.io/tls in web.tlsSecret." $key) }}
{{- end }}
{{- end }}
{{- if and (or $v.web.tls $v.web.authentication) (not (or $v.web.config $v.web.existingConfigSecret.name)) }}
{{- fail "web.tls and web.authentication only say what a web configuration does, and there is none: give web.config or web.existingConfigSecret.name." }}
{{- end }}
{{- end }}

{{/* Seconds of a duration such as 1m30s; empty for an empty one. */}}
{{- define "iris-exporter.seconds" -}}
{{- $units := dict "d" 86400.0 "h" 3600.0 "m" 60.0 "s" 1.0 "ms" 0.001 }}
{{- $sum := 0.0 }}
{{- range regexFindAll "[0-9]+(ms|[dhms])" . -1 }}
{{- $sum = addf $sum (mulf (regexFind "^[0-9]+" . | float64) (get $units (regexFind "[a-z]+$" .))) }}
{{- end }}
{{- if . }}{{ $sum }}{{ end }}
{{- end }}
