{{/* Autoscalers of a resolved expert (orchard.expert.resolve). */}}

{{/* KEDA asks the routers, which know what is wanted before any queue does. The value that they give is
a number of replicas, so the target is 1. */}}
{{- define "orchard.expert.scaledObject" -}}
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  {{- include "orchard.metadata" . | nindent 2 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ .name }}
  minReplicaCount: {{ .expert.minReplicas }}
  maxReplicaCount: {{ .expert.maxReplicas }}
  pollingInterval: {{ .root.Values.autoscaling.pollingSeconds }}
  cooldownPeriod: {{ .root.Values.autoscaling.cooldownSeconds }}
  advanced:
    horizontalPodAutoscalerConfig:
      behavior:
        scaleDown:
          stabilizationWindowSeconds: {{ .root.Values.autoscaling.scaleDownSeconds }}
  triggers:
  - type: external-push
    metadata:
      scalerAddress: {{ include "orchard.router.name" .root }}.{{ .root.Release.Namespace }}.svc:8001
      model: {{ .model.name | quote }}
      domain: {{ .domain | quote }}
    {{- if .root.Values.tls.enabled }}
    authenticationRef:
      name: {{ include "orchard.fullname" .root }}-expert
    {{- end }}
{{- end -}}

{{- define "orchard.expert.podAutoscaler" -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  {{- include "orchard.metadata" . | nindent 2 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ .name }}
  minReplicas: {{ .expert.minReplicas }}
  maxReplicas: {{ .expert.maxReplicas }}
  metrics:
  {{- if eq .root.Values.autoscaling.kind "hpa" }}
  # A number of replicas, summed over the routers by the adapter's rule (docs/kubernetes.md).
  - type: External
    external:
      metric:
        name: orchard_expert_desired_replicas
        selector:
          matchLabels:
            model: {{ .model.name | quote }}
            domain: {{ .domain | quote }}
      target:
        type: AverageValue
        averageValue: "1"
  {{- else }}
  - type: Resource
    resource:
      name: cpu
      target:
        type: Utilization
        averageUtilization: {{ .root.Values.autoscaling.cpuUtilisation }}
  {{- end }}
  behavior:
    scaleDown:
      stabilizationWindowSeconds: {{ .root.Values.autoscaling.scaleDownSeconds }}
{{- end -}}
