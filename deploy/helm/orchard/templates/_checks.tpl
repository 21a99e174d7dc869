{{/* What the schema can't say: values that don't go together. Each refusal names the value and what to
set instead. */}}

{{- define "orchard.checks" -}}
{{- include "orchard.checks.domains" . -}}
{{- include "orchard.checks.scaling" . -}}
{{- include "orchard.checks.tls" . -}}
{{- include "orchard.checks.model" (dict "root" . "where" "model" "model" .Values.model) -}}
{{- include "orchard.checks.model" (dict "root" . "where" "router.model" "model" (mergeOverwrite (deepCopy .Values.model) (deepCopy .Values.router.model))) -}}
{{- range $set, $values := .Values.expertSets -}}
{{- include "orchard.checks.model" (dict "root" $ "where" (printf "expertSets.%s.model" $set) "model" (mergeOverwrite (deepCopy $.Values.model) (deepCopy (($values | default dict).model | default dict)))) -}}
{{- end -}}
{{- if and .Values.gateway.enabled (not .Values.gateway.parentRefs) -}}
{{- fail "gateway.parentRefs is empty, but gateway.enabled is true: name the gateway that the route hangs on, such as [{name: public}]" -}}
{{- end -}}
{{- end -}}

{{- define "orchard.checks.domains" -}}
{{- $names := dict -}}
{{- range $domain, $_ := .Values.experts -}}
{{- if not (regexMatch "^[a-z]([a-z0-9_-]*[a-z0-9])?$" $domain) -}}
{{- fail (printf "experts.%s: a domain's name has small letters, digits, \"_\" and \"-\", begins with a letter and ends with none of the signs; objects of the cluster could not be named after this one" $domain) -}}
{{- end -}}
{{- $name := $domain | replace "_" "-" -}}
{{- if hasKey $names $name -}}
{{- fail (printf "experts.%s and experts.%s: objects of both would be named \"%s\", because names of objects have no \"_\"" (get $names $name) $domain $name) -}}
{{- end -}}
{{- $_ := set $names $name $domain -}}
{{- range $set, $_ := $.Values.expertSets -}}
{{- if not (regexMatch "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$" $set) -}}
{{- fail (printf "expertSets.%s: a set's name has small letters, digits and \"-\", such as \"a\"" $set) -}}
{{- end -}}
{{- $object := printf "%s-expert-%s-%s" (include "orchard.fullname" $) $name $set -}}
{{- if gt (len $object) 63 -}}
{{- fail (printf "experts.%s: \"%s\" has %d characters, and names of objects at most 63; set a shorter fullnameOverride" $domain $object (len $object)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.experts (not .Values.expertSets) -}}
{{- fail "expertSets is empty, so no expert would run: leave one set, such as {a: {}}" -}}
{{- end -}}
{{- end -}}

{{- define "orchard.checks.scaling" -}}
{{- $kind := .Values.autoscaling.kind -}}
{{- range $domain, $overrides := .Values.experts -}}
{{- $expert := mergeOverwrite (deepCopy $.Values.expertDefaults) (deepCopy ($overrides | default dict)) -}}
{{- $min := int $expert.minReplicas -}}
{{- $max := int $expert.maxReplicas -}}
{{- $where := ternary (printf "experts.%s" $domain) "expertDefaults" (hasKey ($overrides | default dict) "minReplicas") -}}
{{- if and (eq $min 0) (ne $kind "keda") -}}
{{- fail (printf "%s.minReplicas is 0, but autoscaling.kind is \"%s\": only \"keda\" starts an expert from nothing; set autoscaling.kind=keda, or minReplicas to at least 1" $where $kind) -}}
{{- end -}}
{{- if and (ne $kind "none") (gt $min $max) -}}
{{- fail (printf "experts.%s: minReplicas is %d and maxReplicas %d: the first must not be above the second" $domain $min $max) -}}
{{- end -}}
{{- end -}}
{{- with .Values.router.autoscaling -}}
{{- if and .enabled (gt (int .minReplicas) (int .maxReplicas)) -}}
{{- fail (printf "router.autoscaling: minReplicas is %d and maxReplicas %d: the first must not be above the second" (int .minReplicas) (int .maxReplicas)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "orchard.checks.tls" -}}
{{- with .Values.tls -}}
{{- if and .certManager.enabled (not .enabled) -}}
{{- fail "tls.certManager.enabled is true, but tls.enabled is false: set tls.enabled=true too" -}}
{{- end -}}
{{- if and .enabled .certManager.enabled (not .certManager.issuer) -}}
{{- fail "tls.certManager.issuer is empty: name the Issuer or ClusterIssuer (tls.certManager.issuerKind) that signs the certificates" -}}
{{- end -}}
{{- if and .enabled (not .callers.verify) (eq $.Values.autoscaling.kind "keda") -}}
{{- fail "tls.callers.verify is false, but autoscaling.kind is \"keda\": routers add up their demand over TLS and know each other by ca.crt alone; set tls.callers.verify=true, or another kind" -}}
{{- end -}}
{{- if and .enabled (not .certManager.enabled) -}}
{{- $needed := list "routerSecret" -}}
{{- if $.Values.experts }}{{ $needed = append $needed "expertSecret" }}{{ end -}}
{{- if eq $.Values.autoscaling.kind "keda" }}{{ $needed = append $needed "clientSecret" }}{{ end -}}
{{- range $needed -}}
{{- if not (get $.Values.tls .) -}}
{{- fail (printf "tls.%s is empty, but tls.enabled is true: name a Secret with tls.crt, tls.key and ca.crt, or set tls.certManager.enabled=true" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* (dict "root" $ "where" PATH "model" …) */}}
{{- define "orchard.checks.model" -}}
{{- if and (eq .model.source "claim") (not .model.claim) -}}
{{- fail (printf "%s.claim is empty, but %s.source is \"claim\": name a PersistentVolumeClaim that holds the model" .where .where) -}}
{{- end -}}
{{- if and (eq .model.source "imageVolume") (semverCompare "<1.33.0-0" .root.Capabilities.KubeVersion.Version) -}}
{{- fail (printf "%s.source is \"imageVolume\", which Kubernetes has since 1.33, and this is %s: use \"initContainer\" or \"claim\"" .where .root.Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- if and (eq .model.source "initContainer") (eq .model.image "orchard-model") -}}
{{- fail (printf "%s.image is \"orchard-model\", which holds a model and no program that could copy it: use source \"imageVolume\", or name an image that has %s.copyCommand" .where .where) -}}
{{- end -}}
{{- if and (ne .model.claim "") (ne .model.source "claim") -}}
{{- fail (printf "%s.claim is \"%s\", but %s.source is \"%s\": set it to \"claim\", or leave the claim out" .where .model.claim .where .model.source) -}}
{{- end -}}
{{- end -}}
