{{/* What begins every name: at most 40 characters, so that the longest that is made from it has 63. */}}
{{- define "geneface.fullname" -}}
{{- $name := .Values.fullnameOverride | default .Release.Name -}}
{{- if gt (len $name) 40 -}}
{{- printf "%s-%s" ($name | trunc 31 | trimSuffix "-") (sha256sum $name | trunc 8) -}}
{{- else -}}
{{- $name -}}
{{- end -}}
{{- end }}

{{/* Takes (dict "root" $ "component" name). What a selector finds: never changes. */}}
{{- define "geneface.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* The Jobs that the controller makes, as controller/manifest.py labels them. */}}
{{- define "geneface.jobSelector" -}}
app.kubernetes.io/managed-by: geneface-controller
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: job
{{- end }}

{{/* Takes (dict "root" $ "component" name). */}}
{{- define "geneface.labels" -}}
{{ include "geneface.selector" . }}
app.kubernetes.io/part-of: geneface
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Takes (dict "root" $ "component" part "suffix" optional). Name, namespace and labels of an object. */}}
{{- define "geneface.metadata" -}}
name: {{ include "geneface.fullname" .root }}-{{ .name | default .component }}
namespace: {{ .root.Release.Namespace }}
labels: {{- include "geneface.labels" . | nindent 2 }}
{{- end }}

{{/* Takes (dict "root" $ "image" name of one in .Values.images). */}}
{{- define "geneface.image" -}}
{{- $image := index .root.Values.images .image -}}
{{- with .root.Values.global.imageRegistry }}{{ trimSuffix "/" . }}/{{ end -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository ($image.tag | default .root.Chart.AppVersion) -}}
{{- end -}}
{{- end }}

{{/* Values under `settings` as variables: someName → GENEFACE_SOME_NAME; what is no text is JSON. */}}
{{- define "geneface.settings" -}}
{{- range $name, $value := . }}
{{- if not (kindIs "invalid" $value) }}
GENEFACE_{{ snakecase $name | upper }}: {{ kindIs "string" $value | ternary $value (toJson $value) | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* GENEFACE_GPU_CLASSES: nodeLabels → node_labels … */}}
{{- define "geneface.gpuClasses" -}}
{{- $classes := dict -}}
{{- range $name, $class := .Values.gpuClasses -}}
{{- $one := dict -}}
{{- range $key, $value := $class -}}
{{- $_ := set $one (snakecase $key) $value -}}
{{- end -}}
{{- $_ := set $classes $name $one -}}
{{- end -}}
{{- toJson $classes -}}
{{- end }}

{{- define "geneface.databaseSecret" -}}
{{- .Values.postgresql.existingSecret | default (printf "%s-database" (include "geneface.fullname" .)) -}}
{{- end }}

{{- define "geneface.storageSecret" -}}
{{- .Values.objectStorage.existingSecret | default (printf "%s-storage" (include "geneface.fullname" .)) -}}
{{- end }}

{{- define "geneface.tokenSecret" -}}
{{- .Values.token.existingSecret | default (printf "%s-token" (include "geneface.fullname" .)) -}}
{{- end }}

{{- define "geneface.storageEndpoint" -}}
{{- if eq .Values.objectStorage.mode "embedded" -}}
{{- printf "http://%s-storage.%s.svc:9000" (include "geneface.fullname" .) .Release.Namespace -}}
{{- else -}}
{{- required "objectStorage.endpoint is needed with objectStorage.mode external" .Values.objectStorage.endpoint -}}
{{- end -}}
{{- end }}

{{- define "geneface.storagePublicEndpoint" -}}
{{- $local := ternary "http://127.0.0.1:9000" "" (eq .Values.objectStorage.mode "embedded") -}}
{{- .Values.objectStorage.publicEndpoint | default $local | default (include "geneface.storageEndpoint" .) -}}
{{- end }}

{{- define "geneface.weightsClaim" -}}
{{- .Values.weights.persistence.existingClaim | default (printf "%s-weights" (include "geneface.fullname" .)) -}}
{{- end }}

{{/* Where the engine http finds its server. */}}
{{- define "geneface.ttsUrl" -}}
{{- if .Values.speech.ttsUrl -}}
{{- .Values.speech.ttsUrl -}}
{{- else if .Values.tts.enabled -}}
{{- printf "http://%s-tts.%s.svc:%v" (include "geneface.fullname" .) .Release.Namespace .Values.tts.service.port -}}
{{- else -}}
{{- fail "speech.ttsUrl or tts.enabled is needed with speech.engine http" -}}
{{- end -}}
{{- end }}

{{/* Variables of every step: what is set of the language model, and what controller.settings.stepEnvironment says, which wins. */}}
{{- define "geneface.stepEnvironment" -}}
{{- $variables := dict -}}
{{- with .Values.reply.model }}{{ $_ := set $variables "ZHIPU_MODEL" . }}{{ end -}}
{{- with .Values.reply.baseUrl }}{{ $_ := set $variables "ZHIPU_BASE_URL" . }}{{ end -}}
{{- merge (deepCopy (.Values.controller.settings.stepEnvironment | default dict)) $variables | toJson -}}
{{- end }}
