{{- /* Names are fixed: the admission policies and the manager know them, and a cluster has one installation. */ -}}

{{- define "holdfast.labels" -}}
app.kubernetes.io/name: holdfast
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end }}

{{- define "holdfast.image" -}}
{{- $repository := .Values.image.repository | required "image.repository: expected the name of the image that you built, as in registry.example.com/holdfast; docs/install.md says how" -}}
{{- if .Values.image.digest -}}
{{ $repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ $repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- /* The environment variable with the database's URL, of the login that the Secret belongs to. */ -}}
{{- define "holdfast.database" -}}
- name: HOLDFAST_DATABASE_URL
  valueFrom:
    secretKeyRef:
      {{- if .cnpgCluster }}
      name: {{ printf "%s-app" .cnpgCluster | quote }}
      key: uri
      {{- else }}
      name: {{ .existingSecret | quote }}
      key: {{ .key | quote }}
      {{- end }}
{{- end }}

{{- /* What all Pods have beside their containers. */ -}}
{{- define "holdfast.pod" -}}
{{- $pods := .root.Values.pods -}}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  {{- if .readsKey }}
  fsGroup: 65532
  {{- end }}
  seccompProfile:
    type: RuntimeDefault
{{- if and .component $pods.topologySpread.enabled }}
topologySpreadConstraints:
  - maxSkew: {{ $pods.topologySpread.maxSkew }}
    topologyKey: {{ $pods.topologySpread.topologyKey | quote }}
    whenUnsatisfiable: {{ $pods.topologySpread.whenUnsatisfiable }}
    labelSelector:
      matchLabels:
        app.kubernetes.io/name: holdfast
        app.kubernetes.io/component: {{ .component }}
{{- end }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- with $pods.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $pods.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $pods.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $pods.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- end }}

{{- define "holdfast.podMetadata" -}}
labels:
  {{- with .root.Values.pods.labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- include "holdfast.labels" . | nindent 2 }}
annotations:
  {{- with .root.Values.pods.annotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  kubectl.kubernetes.io/default-container: {{ .component }}
{{- end }}

{{- define "holdfast.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end }}

{{- /* The objects of a file that is copied from config/, in the namespace of the release. */ -}}
{{- define "holdfast.file" -}}
{{- range $text := regexSplit "(?m)^---\n" (.root.Files.Get .file) -1 }}
{{- $object := fromYaml $text }}
{{- with $object.Error }}{{ fail (printf "%s: %s" $.file .) }}{{ end }}
{{- if $object }}
{{- if $object.metadata.namespace }}
{{- $_ := set $object.metadata "namespace" $.root.Release.Namespace }}
{{- end }}
{{- range $object.subjects }}
{{- if .namespace }}
{{- $_ := set . "namespace" $.root.Release.Namespace }}
{{- end }}
{{- end }}
{{- $labels := merge (dict) ($object.metadata.labels | default dict) ($.labels | default dict) $.root.Values.commonLabels }}
{{- with $labels }}{{ $_ := set $object.metadata "labels" . }}{{ end }}
{{- with $.annotations }}
{{- $_ := set $object.metadata "annotations" (merge (dict) ($object.metadata.annotations | default dict) .) }}
{{- end }}
---
{{ toYaml $object }}
{{- end }}
{{- end }}
{{- end }}
