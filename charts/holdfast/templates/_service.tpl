{{- /* A PodDisruptionBudget of a component. */ -}}
{{- define "holdfast.podDisruptionBudget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: holdfast-{{ .component }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "holdfast.labels" (dict "root" .root) | nindent 4 }}
spec:
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow # an outage of the database must not block the drain of a node
  selector:
    matchLabels:
      app.kubernetes.io/name: holdfast
      app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- /*
A service behind TLS: root, component, values; and where it has them: database, args and env of its own, secret (name, secretName) that it reads, peer (a component that may reach it),
port that it reaches, sticky (a caller stays with a Pod).
*/ -}}
{{- define "holdfast.service" -}}
{{- $values := .values -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: holdfast-{{ .component }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "holdfast.labels" . | nindent 4 }}
spec:
  replicas: {{ $values.replicas }}
  selector:
    matchLabels:
      app.kubernetes.io/name: holdfast
      app.kubernetes.io/component: {{ .component }}
  template:
    metadata:
      {{- include "holdfast.podMetadata" . | nindent 6 }}
    spec:
      serviceAccountName: holdfast-{{ .component }}
      terminationGracePeriodSeconds: 30
      {{- include "holdfast.pod" (dict "root" .root "component" .component "readsKey" true) | nindent 6 }}
      containers:
        - name: {{ .component }}
          image: {{ include "holdfast.image" .root | quote }}
          {{- with .root.Values.image.pullPolicy }}
          imagePullPolicy: {{ . }}
          {{- end }}
          args:
            - {{ .component }}
            - --bind-address=:8443
            - --tls-cert-file=/etc/holdfast/tls/tls.crt
            - --tls-key-file=/etc/holdfast/tls/tls.key
            {{- range .args }}
            - {{ . | quote }}
            {{- end }}
            {{- range $values.args }}
            - {{ . | quote }}
            {{- end }}
          env:
            {{- with .database }}
            {{- include "holdfast.database" . | nindent 12 }}
            {{- end }}
            - name: GOMEMLIMIT
              value: {{ $values.goMemoryLimit | quote }}
            {{- with .env }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
            {{- with $values.env }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
          ports:
            - name: https
              containerPort: 8443
          livenessProbe:
            httpGet:
              path: /healthz
              port: https
              scheme: HTTPS
            initialDelaySeconds: 10
            periodSeconds: 20
            timeoutSeconds: 3
          readinessProbe:
            httpGet:
              path: /readyz
              port: https
              scheme: HTTPS
            periodSeconds: 5
            timeoutSeconds: 5
          lifecycle:
            preStop:
              sleep:
                seconds: 5
          volumeMounts:
            - name: tls
              mountPath: /etc/holdfast/tls
              readOnly: true
            {{- with .secret }}
            - name: {{ .name }}
              mountPath: /etc/holdfast/{{ .name }}
              readOnly: true
            {{- end }}
          resources:
            {{- toYaml $values.resources | nindent 12 }}
          {{- include "holdfast.containerSecurity" . | nindent 10 }}
      volumes:
        - name: tls
          secret:
            secretName: {{ $values.tlsSecret | quote }}
            defaultMode: 0440
        {{- with .secret }}
        - name: {{ .name }}
          secret:
            secretName: {{ .secretName | quote }}
            defaultMode: 0440
        {{- end }}
---
apiVersion: v1
kind: Service
metadata:
  name: holdfast-{{ .component }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "holdfast.labels" . | nindent 4 }}
spec:
  {{- if .sticky }}
  sessionAffinity: ClientIP
  sessionAffinityConfig:
    clientIP:
      timeoutSeconds: 3600
  {{- end }}
  selector:
    app.kubernetes.io/name: holdfast
    app.kubernetes.io/component: {{ .component }}
  ports:
    - name: https
      port: 443
      targetPort: https
{{- if $values.networkPolicy.enabled }}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: holdfast-{{ .component }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "holdfast.labels" (dict "root" .root) | nindent 4 }}
spec:
  podSelector:
    matchLabels:
      app.kubernetes.io/name: holdfast
      app.kubernetes.io/component: {{ .component }}
  policyTypes: [Ingress, Egress]
  ingress:
    - from:
        - namespaceSelector:
            matchLabels:
              holdfast.dev/{{ .component }}-client: "true"
        {{- with .peer }}
        - podSelector:
            matchLabels:
              app.kubernetes.io/name: holdfast
              app.kubernetes.io/component: {{ . }}
        {{- end }}
      ports:
        - port: https
          protocol: TCP
  egress:
    - ports:
        - port: 53
          protocol: UDP
        - port: 53
          protocol: TCP
    - ports:
        {{- range concat .root.Values.networkPolicy.apiServerPorts (ternary .root.Values.networkPolicy.databasePorts list (not (empty .database))) }}
        - port: {{ . }}
          protocol: TCP
        {{- end }}
    {{- with .port }}
    - ports:
        - port: {{ . }}
          protocol: TCP
    {{- end }}
{{- end }}
{{- if $values.podDisruptionBudget.enabled }}
---
{{ include "holdfast.podDisruptionBudget" . }}
{{- end }}
{{- end }}
