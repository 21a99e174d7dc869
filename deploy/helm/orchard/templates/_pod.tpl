{{/* The pod of a router or an expert, one description of both:
  root, component, selector (dict for orchard.selector), values (the router's or the expert's), model,
  image, port, metricsPort, httpPort (where /healthz is), configMap, configKey, account. */}}

{{- define "orchard.pod.security" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "orchard.container.security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* Whether the pod is ready. The kubelet can't show a certificate, so with TLS the program asks its own
gRPC port, once, for the start: that costs 0.7 s of CPU. Afterwards /readyz says the same for nothing. */}}
{{- define "orchard.pod.started" -}}
{{- if .root.Values.tls.enabled -}}
exec:
  command:
  - /opt/orchard/bin/orchard-{{ .component }}
  - --probe=127.0.0.1:{{ .port }}
  - --tls-cert=/tls/tls.crt
  - --tls-key=/tls/tls.key
  - --tls-client-ca=/tls/ca.crt
timeoutSeconds: 10
{{- else -}}
grpc:
  port: {{ .port }}
timeoutSeconds: 3
{{- end -}}
{{- end -}}

{{- define "orchard.pod.ready" -}}
{{- if .root.Values.tls.enabled -}}
httpGet:
  path: /readyz
  port: {{ .httpPort }}
{{- else -}}
grpc:
  port: {{ .port }}
{{- end }}
timeoutSeconds: 3
{{- end -}}

{{- define "orchard.pod.spread" -}}
{{- $unsatisfiable := ternary "DoNotSchedule" "ScheduleAnyway" (eq .values.spread "hard") -}}
{{- $selector := include "orchard.selector" .selector -}}
{{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
- maxSkew: 1
  topologyKey: {{ . }}
  whenUnsatisfiable: {{ $unsatisfiable }}
  labelSelector:
    matchLabels:
      {{- $selector | nindent 6 }}
  matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end -}}

{{- define "orchard.pod.resources" -}}
cpu: {{ .cpu | quote }}
memory: {{ .memory }}
ephemeral-storage: {{ .ephemeralStorage }}
{{- if .gpu }}
nvidia.com/gpu: {{ .gpu }}
{{- end }}
{{- end -}}

{{/* Where the model is below /model. The image orchard-model has it where the programs' images do. */}}
{{- define "orchard.pod.modelFolder" -}}
{{- $path := .path | default (ternary "opt/orchard/models/default" "" (eq .source "imageVolume")) -}}
{{- printf "/model/%s" $path | trimSuffix "/" -}}
{{- end -}}

{{- define "orchard.pod.modelVolume" -}}
{{- if eq .model.source "claim" }}
- name: model
  persistentVolumeClaim:
    claimName: {{ .model.claim }}
    readOnly: true
{{- else if eq .model.source "imageVolume" }}
- name: model
  image:
    reference: {{ include "orchard.image" (dict "root" .root "image" .model.image "tags" (list .model.tag)) }}
    pullPolicy: {{ .root.Values.image.pullPolicy }}
{{- else if eq .model.source "initContainer" }}
- name: model
  emptyDir:
    sizeLimit: {{ .model.sizeLimit }}
{{- end }}
{{- end -}}

{{- define "orchard.pod.modelCopy" -}}
- name: model
  image: {{ include "orchard.image" (dict "root" .root "image" .model.image "tags" (list .model.tag)) }}
  imagePullPolicy: {{ .root.Values.image.pullPolicy }}
  command: {{ toJson .model.copyCommand }}
  terminationMessagePolicy: FallbackToLogsOnError
  securityContext:
    {{- include "orchard.container.security" . | nindent 4 }}
  resources:
    {{- $copy := dict "cpu" "100m" "memory" "256Mi" "ephemeralStorage" .model.sizeLimit }}
    requests:
      {{- include "orchard.pod.resources" $copy | nindent 6 }}
    limits:
      {{- include "orchard.pod.resources" $copy | nindent 6 }}
  volumeMounts:
  - name: model
    mountPath: /model
{{- end -}}

{{- define "orchard.pod" -}}
{{- $values := .values -}}
{{- $drain := $values.drain -}}
metadata:
  labels:
    {{- include "orchard.selector" .selector | nindent 4 }}
    app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
    {{- with .root.Values.commonLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- with $values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    # Settings are read at the start: other settings are other pods.
    orchard.dev/settings: {{ .settings | sha256sum | trunc 16 }}
    kubectl.kubernetes.io/default-container: {{ .component }}
    {{- with $values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ .account }}
  automountServiceAccountToken: false
  # Variables of Services would be called ORCHARD_…, like settings.
  enableServiceLinks: false
  # {{ $drain.preStopSeconds }} s before SIGTERM, {{ $drain.delaySeconds }} s not ready, {{ $drain.timeoutSeconds }} s for what is in flight, 5 s to end.
  terminationGracePeriodSeconds: {{ add $drain.preStopSeconds $drain.delaySeconds $drain.timeoutSeconds 5 }}
  {{- with include "orchard.priorityClass" .root }}
  priorityClassName: {{ . }}
  {{- end }}
  securityContext:
    {{- include "orchard.pod.security" . | nindent 4 }}
  {{- with .root.Values.image.pullSecrets }}
  imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
  {{- end }}
  {{- with $values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if ne $values.spread "off" }}
  topologySpreadConstraints:
  {{- include "orchard.pod.spread" . | trim | nindent 2 }}
  {{- end }}
  {{- if eq .model.source "initContainer" }}
  initContainers:
  {{- include "orchard.pod.modelCopy" . | nindent 2 }}
  {{- end }}
  containers:
  - name: {{ .component }}
    image: {{ .image }}
    imagePullPolicy: {{ .root.Values.image.pullPolicy }}
    args:
    - --config=/etc/orchard/{{ .component }}.toml
    - --listen={{ .root.Values.listenHost }}:{{ .port }}
    {{- if ne .httpPort .metricsPort }}
    - --http-listen={{ .root.Values.listenHost }}:{{ .httpPort }}
    {{- end }}
    - --metrics-listen={{ .root.Values.listenHost }}:{{ .metricsPort }}
    {{- if ne .model.source "image" }}
    - --model={{ include "orchard.pod.modelFolder" .model }}
    {{- end }}
    {{- with .selector.domain }}
    - --domain={{ . }}
    {{- end }}
    {{- with $values.env }}
    env:
      {{- toYaml . | nindent 4 }}
    {{- end }}
    ports:
    - name: grpc
      containerPort: {{ .port }}
    {{- if ne .httpPort .metricsPort }}
    - name: http
      containerPort: {{ .httpPort }}
    {{- end }}
    - name: metrics
      containerPort: {{ .metricsPort }}
    {{- /* Who waits for a domain at zero waits for this probe too; but with TLS each costs CPU. */}}
    {{- $period := ternary 5 1 .root.Values.tls.enabled }}
    startupProbe:
      {{- include "orchard.pod.started" . | nindent 6 }}
      periodSeconds: {{ $period }}
      failureThreshold: {{ divf $values.startupSeconds $period | ceil | int }}
    readinessProbe:
      {{- include "orchard.pod.ready" . | nindent 6 }}
      periodSeconds: 5
      failureThreshold: 2
    # Not by gRPC: that port is not ready while it drains or has no room for a connection, which is no
    # reason to kill it.
    livenessProbe:
      httpGet:
        path: /healthz
        port: {{ .httpPort }}
      timeoutSeconds: 5
      periodSeconds: 10
      failureThreshold: 3
    {{- if $drain.preStopSeconds }}
    lifecycle:
      preStop:
        sleep:
          seconds: {{ $drain.preStopSeconds }}
    {{- end }}
    resources:
      requests:
        {{- include "orchard.pod.resources" $values | nindent 8 }}
      limits:
        {{- include "orchard.pod.resources" $values | nindent 8 }}
    securityContext:
      {{- include "orchard.container.security" . | nindent 6 }}
    # A start that fails says why in its last line: it stands in the pod's status.
    terminationMessagePolicy: FallbackToLogsOnError
    volumeMounts:
    - name: settings
      mountPath: /etc/orchard
      readOnly: true
    {{- if .root.Values.tls.enabled }}
    - name: tls
      mountPath: /tls
      readOnly: true
    {{- end }}
    {{- if ne .model.source "image" }}
    - name: model
      mountPath: /model
      readOnly: true
    {{- end }}
    {{- with $values.volumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
  - name: settings
    configMap:
      name: {{ .configMap }}
      items:
      - key: {{ .configKey }}
        path: {{ .component }}.toml
  {{- if .root.Values.tls.enabled }}
  - name: tls
    secret:
      secretName: {{ include "orchard.tls.secret" (dict "root" .root "who" .component) }}
      defaultMode: 0440
  {{- end }}
  {{- with include "orchard.pod.modelVolume" . | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with $values.volumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}
