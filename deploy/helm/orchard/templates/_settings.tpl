{{/* The files of --config. Ports, the model's folder and the domain are flags instead: the images set
ORCHARD_LISTEN and ORCHARD_MODEL, and a variable wins over the file. */}}

{{/* One value as TOML. Helm reads whole numbers as floating point, 16777216 as 1.6777216e+07. */}}
{{- define "orchard.toml.value" -}}
{{- if kindIs "float64" . -}}
{{- if eq . (floor .) }}{{ int64 . }}{{ else }}{{ . }}{{ end -}}
{{- else -}}
{{- toJson . -}}
{{- end -}}
{{- end -}}

{{- define "orchard.toml.settings" -}}
{{- range $key, $value := . }}
{{ $key }} = {{ include "orchard.toml.value" $value }}
{{- end -}}
{{- end -}}

{{- define "orchard.toml.process" -}}
drain-delay = "{{ .drain.delaySeconds }}s"
drain-timeout = "{{ .drain.timeoutSeconds }}s"
{{- end -}}

{{- define "orchard.router.toml" -}}
{{- $root := . -}}
{{- $values := .Values -}}
{{ include "orchard.toml.process" $values.router }}
{{- if $values.experts }}
expert = [
{{- range $domain, $_ := $values.experts }}
  "{{ $domain }}=dns:///{{ include "orchard.expert.service" (dict "root" $root "domain" $domain) }}:8011",
{{- end }}
]
{{- end }}
{{- if and (eq $values.autoscaling.kind "keda") $values.experts }}
router-peers = "dns:///{{ include "orchard.router.headless" . }}:8001"
{{- end }}
{{- if $values.tls.enabled }}
tls-cert = "/tls/tls.crt"
tls-key = "/tls/tls.key"
{{- if $values.tls.callers.verify }}
tls-client-ca = "/tls/ca.crt"
{{- with $values.tls.callers.names }}
{{- $own := list (include "orchard.tls.name" (dict "root" $root "who" "router")) (include "orchard.tls.name" (dict "root" $root "who" "client")) }}
tls-client-name = {{ concat $own . | uniq | toJson }}
{{- end }}
{{- end }}
{{- if $values.experts }}
expert-tls-ca = "/tls/ca.crt"
expert-tls-cert = "/tls/tls.crt"
expert-tls-key = "/tls/tls.key"
expert-tls-name = "{{ include "orchard.tls.name" (dict "root" . "who" "expert") }}"
{{- end }}
{{- end }}
{{- include "orchard.toml.settings" $values.router.settings }}
{{- end -}}

{{/* Of a resolved expert (orchard.expert.resolve). Its own name may call as well: the probe shows it. */}}
{{- define "orchard.expert.toml" -}}
{{ include "orchard.toml.process" .expert }}
{{- if .root.Values.tls.enabled }}
tls-cert = "/tls/tls.crt"
tls-key = "/tls/tls.key"
tls-client-ca = "/tls/ca.crt"
tls-client-name = {{ list (include "orchard.tls.name" (dict "root" .root "who" "router")) (include "orchard.tls.name" (dict "root" .root "who" "expert")) | toJson }}
{{- end }}
{{- include "orchard.toml.settings" .expert.settings }}
{{- end -}}
