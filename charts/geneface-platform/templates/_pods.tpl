{{/*
Takes (dict "root" $ "account" part "token" bool "user" uid). How every pod of the chart runs; Pod Security `restricted` admits it.
A Service named geneface would give pods variables with our prefix, so no service links.
*/}}
{{- define "geneface.pod" -}}
serviceAccountName: {{ include "geneface.fullname" .root }}-{{ .account }}
automountServiceAccountToken: {{ .token | default false }}
enableServiceLinks: false
{{- with .root.Values.global.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: {{ .user | default 10001 }}
  runAsGroup: {{ .user | default 10001 }}
  fsGroup: {{ .user | default 10001 }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- end }}

{{/* Of every container. */}}
{{- define "geneface.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* Takes a part's values. */}}
{{- define "geneface.scheduling" -}}
{{- with .nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{/* Takes (dict "root" $ "component" part "given" list). */}}
{{- define "geneface.spread" -}}
topologySpreadConstraints:
{{- if .given }}
{{- toYaml .given | nindent 2 }}
{{- else }}
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    matchLabelKeys: [pod-template-hash]
    labelSelector:
      matchLabels: {{- include "geneface.selector" . | nindent 8 }}
{{- end }}
{{- end }}

{{/* The variable with the database's address. */}}
{{- define "geneface.databaseEnv" -}}
- name: GENEFACE_DATABASE_URL
  valueFrom:
    secretKeyRef: {name: {{ include "geneface.databaseSecret" . }}, key: {{ .Values.postgresql.secretKeys.url }}}
{{- end }}

{{/* The variables with the object storage's keys. */}}
{{- define "geneface.storageEnv" -}}
- name: GENEFACE_S3_ACCESS_KEY
  valueFrom:
    secretKeyRef: {name: {{ include "geneface.storageSecret" . }}, key: {{ .Values.objectStorage.secretKeys.accessKey }}}
- name: GENEFACE_S3_SECRET_KEY
  valueFrom:
    secretKeyRef: {name: {{ include "geneface.storageSecret" . }}, key: {{ .Values.objectStorage.secretKeys.secretKey }}}
{{- end }}

{{/* What api, controller and migrations have to know and nobody else may. */}}
{{- define "geneface.secretEnv" -}}
{{ include "geneface.databaseEnv" . }}
{{ include "geneface.storageEnv" . }}
- name: GENEFACE_TOKEN_KEY
  valueFrom:
    secretKeyRef: {name: {{ include "geneface.tokenSecret" . }}, key: {{ .Values.token.secretKeys.key }}}
- name: GENEFACE_TOKEN_KEY_PREVIOUS
  valueFrom:
    secretKeyRef: {name: {{ include "geneface.tokenSecret" . }}, key: {{ .Values.token.secretKeys.previous }}, optional: true}
{{- end }}

{{/* Takes (dict "root" $ "image" name "resources" map). Holds a pod back until the migrations' Job is done. */}}
{{- define "geneface.waitForSchema" -}}
- name: wait-for-schema
  image: {{ include "geneface.image" . }}
  imagePullPolicy: {{ .root.Values.imagePullPolicy }}
  command: [python, -m, store, wait]
  env: {{- include "geneface.databaseEnv" .root | nindent 4 }}
  resources: {{- toYaml .resources | nindent 4 }}
  securityContext: {{- include "geneface.securityContext" .root | nindent 4 }}
  volumeMounts:
    - {name: tmp, mountPath: /tmp}
{{- end }}

{{/* Takes (dict "root" $ "config" path of the part's ConfigMap). Pods start anew when what they read at their start has changed. */}}
{{- define "geneface.checksums" -}}
checksum/config: {{ include (print .root.Template.BasePath .config) .root | sha256sum }}
checksum/store: {{ include (print .root.Template.BasePath "/store/config.yaml") .root | sha256sum }}
checksum/secrets: {{ list .root.Values.postgresql.external .root.Values.objectStorage.external .root.Values.postgresql.existingSecret .root.Values.objectStorage.existingSecret .root.Values.token.existingSecret | toJson | sha256sum }}
{{- end }}

{{/* Takes (dict "root" $ "component" part "values" persistence). A claim that outlives the release. */}}
{{- define "geneface.claim" -}}
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  {{- include "geneface.metadata" . | nindent 2 }}
  annotations:
    helm.sh/resource-policy: keep
spec:
  accessModes: {{- toYaml .values.accessModes | nindent 4 }}
  {{- if not (kindIs "invalid" .values.storageClass) }}
  storageClassName: {{ .values.storageClass | quote }}
  {{- end }}
  resources:
    requests:
      storage: {{ .values.size }}
{{- end }}
