{{/* Takes a list of ports. */}}
{{- define "geneface.ports" -}}
{{- range . }}
- {protocol: TCP, port: {{ . }}}
{{- end }}
{{- end }}

{{/* Takes (dict "root" $ "components" list). Pods of the chart as peers. */}}
{{- define "geneface.peers" -}}
{{- range .components }}
- podSelector:
    matchLabels: {{- include "geneface.selector" (dict "root" $.root "component" .) | nindent 6 }}
{{- end }}
{{- end }}

{{/* Egress to the database. */}}
{{- define "geneface.toDatabase" -}}
{{- if eq .Values.postgresql.mode "embedded" }}
- to: {{- include "geneface.peers" (dict "root" . "components" (list "postgresql")) | trim | nindent 4 }}
  ports: {{- include "geneface.ports" (list 5432) | trim | nindent 4 }}
{{- else if .Values.networkPolicy.database.peers }}
- to: {{- toYaml .Values.networkPolicy.database.peers | nindent 4 }}
  ports: {{- include "geneface.ports" .Values.networkPolicy.database.ports | trim | nindent 4 }}
{{- end }}
{{- end }}

{{/* Egress to the object storage. */}}
{{- define "geneface.toStorage" -}}
{{- if eq .Values.objectStorage.mode "embedded" }}
- to: {{- include "geneface.peers" (dict "root" . "components" (list "storage")) | trim | nindent 4 }}
  ports: {{- include "geneface.ports" (list 9000) | trim | nindent 4 }}
{{- else if .Values.networkPolicy.objectStorage.peers }}
- to: {{- toYaml .Values.networkPolicy.objectStorage.peers | nindent 4 }}
  ports: {{- include "geneface.ports" .Values.networkPolicy.objectStorage.ports | trim | nindent 4 }}
{{- end }}
{{- end }}

{{/* Egress to the API. */}}
{{- define "geneface.toApi" -}}
- to: {{- include "geneface.peers" (dict "root" . "components" (list "api")) | trim | nindent 4 }}
  ports: {{- include "geneface.ports" (list 8000) | trim | nindent 4 }}
{{- end }}

{{/* Whether Jobs speak by the TTS service of this installation; empty: no. */}}
{{- define "geneface.usesTts" -}}
{{- if and (eq .Values.speech.engine "http") .Values.tts.enabled (not .Values.speech.ttsUrl) }}yes{{ end }}
{{- end }}
