{{/* Names, labels, images. Names of objects are DNS labels, so a domain's underscores become dashes
there; labels, flags and metadata keep the model's own name for the domain. */}}

{{- define "orchard.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 30 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 30 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "orchard.router.name" -}}{{ include "orchard.fullname" . }}-router{{- end -}}
{{- define "orchard.router.headless" -}}{{ include "orchard.fullname" . }}-router-headless{{- end -}}

{{/* The name that a domain's experts are found by, whatever sets they belong to: (dict "root" $ "domain" …). */}}
{{- define "orchard.expert.service" -}}
{{- printf "%s-expert-%s" (include "orchard.fullname" .root) (.domain | replace "_" "-") -}}
{{- end -}}

{{/* Labels by which objects are found; they never change in an object's life, so no version is here. */}}
{{- define "orchard.selector" -}}
app.kubernetes.io/name: orchard
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- with .domain }}
orchard.dev/domain: {{ . }}
{{- end }}
{{- with .set }}
orchard.dev/set: {{ . }}
{{- end }}
{{- end -}}

{{- define "orchard.labels" -}}
{{ include "orchard.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The metadata of an object: (dict "root" $ "name" … "component" … ["domain", "set", "annotations", "labels"]). */}}
{{- define "orchard.metadata" -}}
name: {{ .name }}
labels:
  {{- include "orchard.labels" . | nindent 2 }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge (dict) (.annotations | default dict) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* (dict "root" $ "image" NAME "tags" LIST): the first tag that is not empty. */}}
{{- define "orchard.image" -}}
{{- $tag := .root.Chart.AppVersion -}}
{{- range reverse (append .tags .root.Values.image.tag) }}{{ if . }}{{ $tag = . }}{{ end }}{{ end -}}
{{- with .root.Values.image.registry }}{{ . }}/{{ end }}{{ .image }}:{{ $tag }}
{{- end -}}

{{- define "orchard.priorityClass" -}}
{{- if .Values.priorityClass.name -}}
{{- .Values.priorityClass.name -}}
{{- else if .Values.priorityClass.create -}}
{{- include "orchard.fullname" . -}}
{{- end -}}
{{- end -}}

{{/* Secrets and names of TLS: (dict "root" $ "who" "router"|"expert"|"client"). */}}
{{- define "orchard.tls.secret" -}}
{{- $tls := .root.Values.tls -}}
{{- if $tls.certManager.enabled -}}
{{- include "orchard.fullname" .root }}-{{ .who }}-tls
{{- else -}}
{{- get $tls (printf "%sSecret" .who) -}}
{{- end -}}
{{- end -}}

{{- define "orchard.tls.name" -}}
{{- get .root.Values.tls (printf "%sName" .who) | default (printf "%s-%s.%s.svc" (include "orchard.fullname" .root) .who .root.Release.Namespace) -}}
{{- end -}}

{{/* What differs for one expert, put into a dict that has "root", "domain", "set" and "overrides"
already: "expert" (its values), "model", "name", "service", "component". Prints nothing. */}}
{{- define "orchard.expert.resolve" -}}
{{- $values := .root.Values -}}
{{- $set := get $values.expertSets .set | default dict -}}
{{- $_ := set . "component" "expert" -}}
{{- $_ := set . "expert" (mergeOverwrite (deepCopy $values.expertDefaults) (deepCopy (.overrides | default dict))) -}}
{{- $_ := set . "model" (mergeOverwrite (deepCopy $values.model) (deepCopy ($set.model | default dict))) -}}
{{- $_ := set . "service" (include "orchard.expert.service" .) -}}
{{- $_ := set . "name" (printf "%s-%s" .service .set) -}}
{{- $_ := set . "image" (include "orchard.image" (dict "root" .root "image" .expert.image "tags" (list ($set.tag | default "") .expert.tag))) -}}
{{- end -}}
