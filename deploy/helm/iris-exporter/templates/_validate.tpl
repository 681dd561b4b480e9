{{/*
Mistakes that need several values to be seen. values.schema.json refuses most of them first; this also holds where
schemas are skipped, and says what to do in full.
*/}}
{{- define "iris-exporter.validate" -}}
{{- $v := .Values }}
{{- $fleet := eq $v.mode "statefulset" }}
{{- if and (eq $v.mode "deployment") (gt (int $v.replicaCount) 1) (not $v.leaderElection.enabled) }}
{{- fail (printf "replicaCount is %d, and each replica would count every event: set leaderElection.enabled=true (one reads, the others stand by), or mode=statefulset with sharding.shards (each stream on one of them)." (int $v.replicaCount)) }}
{{- end }}
{{- if and $fleet (gt (int $v.sharding.replicasPerShard) 1) (not $v.leaderElection.enabled) }}
{{- fail "sharding.replicasPerShard is above 1, and each of them would count every event of the shard: set leaderElection.enabled=true." }}
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
{{- if and (eq $v.state.kind "claimPerPod") (not $fleet) }}
{{- fail "state.kind=claimPerPod needs mode=statefulset; use claim." }}
{{- end }}
{{- $several := or (and $fleet (or (gt (int $v.sharding.shards) 1) (gt (int $v.sharding.replicasPerShard) 1))) (and (eq $v.mode "deployment") (or (gt (int $v.replicaCount) 1) $v.autoscaling.enabled)) }}
{{- if and (eq $v.state.kind "claim") (not $v.state.existingClaim) $several (not (has "ReadWriteMany" $v.state.accessModes)) }}
{{- fail "state.kind=claim is one volume for several pods here: set state.accessModes to [ReadWriteMany] with a storage class that has it, or state.kind=claimPerPod (statefulset) or emptyDir." }}
{{- end }}
{{- if and $v.otlp.enabled (not $v.otlp.endpoint) }}
{{- fail "otlp.enabled is true and otlp.endpoint is empty: give the address of a collector, such as http://otel-collector.observability:4318." }}
{{- end }}
{{- if not $v.allowInlineApiKeys }}
{{- if include "iris-exporter.inlineKeys" . }}
{{- fail "a stream has apiKey, which would be kept in the values and in the release's history: put it into a Secret and name that in apiKeySecret (name, key), or set allowInlineApiKeys=true." }}
{{- end }}
{{- end }}
{{- if and $v.existingConfigMap.name (or $v.streams $v.streamDefaults $v.config $v.demo.enabled) }}
{{- fail "existingConfigMap.name is the whole configuration: streams, streamDefaults, config and demo.enabled cannot be used beside it." }}
{{- end }}
{{- if and $v.web.existingConfigSecret.name $v.web.config }}
{{- fail "web.existingConfigSecret.name and web.config are two web configurations: choose one." }}
{{- end }}
{{- if not (or $v.streams $v.demo.enabled $v.existingConfigMap.name $v.discovery.configMaps $v.discovery.files $v.discovery.httpUrl (ne $v.discovery.kubernetes.role "none")) }}
{{- fail "there is nothing to read: give streams (a list of name and url), existingConfigMap.name or a way of discovery, or set demo.enabled=true to look around." }}
{{- end }}
{{- end }}
