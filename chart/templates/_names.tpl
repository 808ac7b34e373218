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

{{/* The name of what upgrades the CustomResourceDefinitions; a Job's has room for 63 characters. */}}
{{- define "agenttier-backup.crdsName" -}}
{{- printf "%s-crds" (include "agenttier-backup.fullname" . | trunc 58 | trimSuffix "-") }}
{{- end }}

{{/* Its labels: not those that the controller's pods are selected by. */}}
{{- define "agenttier-backup.crdsLabels" -}}
{{- include "agenttier-backup.labels" . | replace "component: controller" "component: crds" }}
{{- end }}

{{/* The names of our CustomResourceDefinitions, as a JSON list. */}}
{{- define "agenttier-backup.crdNames" -}}
{{- $names := list }}
{{- range $path, $file := .Files.Glob "crds/*.yaml" }}
{{- $names = append $names (fromYaml (toString $file)).metadata.name }}
{{- end }}
{{- toJson $names }}
{{- end }}

{{/*
When the CustomResourceDefinitions are to be upgraded; empty where they need not be. Before every upgrade. Before an
installation only where there are some of another release, left over from an earlier one: those that are missing have
been installed by helm itself by now.
*/}}
{{- define "agenttier-backup.crdsHook" -}}
{{- if dig "upgrade" true (default dict .Values.crds) }}
{{- if .Release.IsUpgrade }}pre-upgrade
{{- else }}
{{- $old := list }}
{{- range include "agenttier-backup.crdNames" . | fromJsonArray }}
{{- with lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" . }}
{{- if ne (default dict .metadata.labels | dig "app.kubernetes.io/version" "") $.Chart.AppVersion }}
{{- $old = append $old .metadata.name }}
{{- end }}
{{- end }}
{{- end }}
{{- if $old }}pre-install{{ end }}
{{- end }}
{{- end }}
{{- end }}

{{/* The annotations of a hook that leaves nothing behind when it went well; `weight` says what comes first. */}}
{{- define "agenttier-backup.hook" -}}
helm.sh/hook: {{ .hook }}
helm.sh/hook-weight: {{ .weight | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
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

{{/*
The values under optional.backup, as JSON. An upgrade with --reuse-values has the values of the release before, and knows
none that came later: those are as in values.yaml then.
*/}}
{{- define "agenttier-backup.backup" -}}
{{- $snapshots := dict
  "enabled" false "intervalHours" 6 "retentionDays" 14 "snapshotClassName" "" "keepLast" 1 "maxCount" 0 "thin" dict
  "adoptAgentTier" false "classes" dict "skipUnchanged" true "readyTimeout" "1h" }}
{{- $velero := dict
  "enabled" false "namespace" "velero" "every" "1d" "ttl" "30d" "moveData" false "csiSnapshotTimeout" "10m"
  "readErrors" true }}
{{- $overrides := dict "minInterval" "15m" "maxRetention" "90d" "maxPoints" 1500 }}
{{- $backup := dict "snapshots" $snapshots "velero" $velero "overrides" $overrides "maxSnapshots" 15000 }}
{{- /* One by one: `merge` takes a false for a value that is missing. */}}
{{- range $section, $given := dig "backup" dict (default dict .Values.optional) }}
{{- if kindIs "map" $given }}
{{- range $key, $value := $given }}
{{- if not (kindIs "invalid" $value) }}
{{- $_ := set (get $backup $section) $key $value }}
{{- end }}
{{- end }}
{{- else if not (kindIs "invalid" $given) }}
{{- $_ := set $backup $section $given }}
{{- end }}
{{- end }}
{{- toJson $backup }}
{{- end }}

{{/*
Whether the errors of backups are read; empty where not. The right to ask for a file of a backup is the right to ask for
all of them, so there has to be something that keeps it to the errors: Kubernetes has it since 1.30.
*/}}
{{- define "agenttier-backup.readErrors" -}}
{{- $velero := (include "agenttier-backup.backup" . | fromJson).velero }}
{{- $guarded := .Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy" }}
{{- if and $velero.enabled $velero.readErrors $guarded }}true{{ end }}
{{- end }}

{{/* The name of what guards that; no namespace holds it. */}}
{{- define "agenttier-backup.errorsName" -}}
{{- printf "%s-%s-backup-errors" .Release.Namespace (include "agenttier-backup.fullname" .) }}
{{- end }}

{{/* The Role in Velero's namespace: releases in several namespaces may share one Velero. */}}
{{- define "agenttier-backup.veleroName" -}}
{{- printf "%s-%s" .Release.Namespace (include "agenttier-backup.fullname" .) | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The Service of the metrics: Prometheus calls its targets so. */}}
{{- define "agenttier-backup.metricsName" -}}
{{- printf "%s-metrics" (include "agenttier-backup.fullname" . | trunc 55 | trimSuffix "-") }}
{{- end }}

{{/* Where the metrics are served, and the port of that. */}}
{{- define "agenttier-backup.metricsAddress" -}}
{{- default "0.0.0.0:8081" .Values.controller.metricsAddress }}
{{- end }}

{{- define "agenttier-backup.metricsPort" -}}
{{- splitList ":" (include "agenttier-backup.metricsAddress" .) | last | int }}
{{- end }}
