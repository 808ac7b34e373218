{{/* The chart's name, or the one given for it. */}}
{{- define "agenttier-backup.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The name of the release's objects: the release's where that says what it is, else with the chart's. */}}
{{- define "agenttier-backup.fullname" -}}
{{- $name := include "agenttier-backup.name" . }}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) }}
{{- default $full .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* What the controller runs as. */}}
{{- define "agenttier-backup.serviceAccountName" -}}
{{- $own := ternary (include "agenttier-backup.fullname" .) "default" .Values.serviceAccount.create }}
{{- default $own .Values.serviceAccount.name }}
{{- end }}

{{/* The labels that pods are selected by: they never change. */}}
{{- define "agenttier-backup.selectorLabels" -}}
app.kubernetes.io/name: {{ include "agenttier-backup.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: controller
{{- end }}

{{/* The labels of every object. */}}
{{- define "agenttier-backup.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "agenttier-backup.selectorLabels" . }}
app.kubernetes.io/part-of: agenttier
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/* The image, with its registry and tag. */}}
{{- define "agenttier-backup.image" -}}
{{- $repository := .Values.image.repository }}
{{- with .Values.global.registry }}
{{- $repository = printf "%s/%s" (trimSuffix "/" .) $repository }}
{{- end }}
{{- printf "%s:%s" $repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
