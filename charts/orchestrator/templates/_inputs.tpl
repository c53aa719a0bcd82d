{{/* The text of a value that is a file's text or a map. A map is written as JSON, which is valid YAML and keeps numbers unchanged. */}}
{{- define "orchestrator.text" -}}
{{- if kindIs "string" . -}}{{- . -}}{{- else if . -}}{{- toPrettyJson . -}}{{- end -}}
{{- end }}

{{/* The files that `fltk cluster` reads, as a YAML map from names to texts. */}}
{{- define "orchestrator.files" -}}
{{- $own := .Values.orchestrator -}}
{{- $experimentFile := base $own.runtime.experimentFile -}}
{{- $configurationFile := base $own.runtime.configurationFile -}}
{{- $files := dict -}}
{{- range $name, $text := $own.files -}}{{- $_ := set $files $name $text -}}{{- end -}}
{{- $experiment := include "orchestrator.text" $own.experiment -}}
{{- if not (trim $experiment) -}}
{{- fail (printf "orchestrator.experiment is missing: what is to be run\nhint: --set-file orchestrator.experiment=%s" ($own.experimentFile | default "FILE")) -}}
{{- end -}}
{{- $inputs := dict $experimentFile $experiment "kubernetes.yaml" (include "orchestrator.kubernetes" .) -}}
{{- with include "orchestrator.text" $own.configuration -}}
{{- if hasKey $inputs $configurationFile -}}
{{- fail (printf "two files are called %s\nhint: orchestrator.runtime.configurationFile" $configurationFile) -}}
{{- end -}}
{{- $_ := set $inputs $configurationFile . -}}
{{- end -}}
{{- if eq $experimentFile "kubernetes.yaml" -}}
{{- fail "orchestrator.runtime.experimentFile can't be kubernetes.yaml, which is the chart's own" -}}
{{- end -}}
{{- range $name, $text := $inputs -}}
{{- if hasKey $files $name -}}{{- fail (printf "orchestrator.files has %s, which is the chart's own" $name) -}}{{- end -}}
{{- $_ := set $files $name $text -}}
{{- end -}}
{{- $bytes := 0 -}}
{{- range $name, $text := $files -}}{{- $bytes = add $bytes (len $text) (len $name) -}}{{- end -}}
{{- if gt (int64 $bytes) 1000000 -}}
{{- fail (printf "the orchestrator's files have %d bytes, more than the 1000000 that fit a ConfigMap\nhint: is it orchestrator.files? fltk cluster can be run from outside of the cluster with files of any size" $bytes) -}}
{{- end -}}
{{- toYaml $files -}}
{{- end }}

{{/* The pods' settings: those in the `kubernetes` value, which override those derived from other values. */}}
{{- define "orchestrator.kubernetes" -}}
{{- $block := include "orchestrator.block" . | fromYaml -}}
{{- $derived := dict
  "log_claim" .Values.storage.claims.log
  "log_path" (include "fltk.path" (list . .Values.fltk.logDir))
-}}
{{- if not (hasKey $block "image") -}}{{- $_ := set $derived "image" (include "fltk.jobImage" .) -}}{{- end -}}
{{- with include "fltk.dataClaim" . -}}{{- $_ := set $derived "data_claim" . -}}{{- end -}}
{{- $_ := set $derived "data_path" (include "fltk.path" (list . .Values.fltk.dataDir)) -}}
{{- with include "fltk.whenPulled" . -}}{{- $_ := set $derived "image_pull_policy" . -}}{{- end -}}
{{- with .Values.provider.pullSecrets -}}{{- $_ := set $derived "image_pull_secrets" . -}}{{- end -}}
{{- range $key, $value := $block -}}{{- $_ := set $derived $key $value -}}{{- end -}}
{{- $labels := dict "app.kubernetes.io/instance" .Release.Name -}}
{{- range $key, $value := $block.labels -}}{{- $_ := set $labels $key $value -}}{{- end -}}
{{- $_ := set $derived "labels" $labels -}}
{{- if ne ($block.namespace | default .Release.Namespace) .Release.Namespace -}}
{{- fail (printf "orchestrator.kubernetes.namespace is %s, but a release has rights and volumes in its own only, %s\nhint: --namespace %s" $block.namespace .Release.Namespace $block.namespace) -}}
{{- end -}}
{{- toPrettyJson (dict "kubernetes" $derived) -}}
{{- end }}

{{/* The contents of the values' `kubernetes` block, as JSON. */}}
{{- define "orchestrator.block" -}}
{{- $given := .Values.orchestrator.kubernetes | default dict -}}
{{- if kindIs "string" $given -}}
{{- $file := fromYaml $given -}}
{{- if or (ne (len $file) 1) (not (kindIs "map" $file.kubernetes)) -}}
{{- fail (printf "orchestrator.kubernetes isn't a file with a `kubernetes` block and nothing else%s" (ternary (printf ": %s" $file.Error) "" (hasKey $file "Error"))) -}}
{{- end -}}
{{- $given = $file.kubernetes -}}
{{- end -}}
{{- toJson $given -}}
{{- end }}

{{/* The backend: pytorchjob or trainjob. */}}
{{- define "orchestrator.backend" -}}
{{- (include "orchestrator.block" . | fromYaml).backend | default "pytorchjob" -}}
{{- end }}

{{/* True if the orchestrator watches nodes. KFLTK's files, some of which are lists, never ask for it; the values may. */}}
{{- define "orchestrator.seesCluster" -}}
{{- $rbac := .Values.orchestrator.rbac.cluster -}}
{{- if eq $rbac "always" -}}yes
{{- else if and (eq $rbac "auto") .Values.orchestrator.admission -}}
{{- if eq .Values.orchestrator.admission.type "capacity" -}}yes{{- end -}}
{{- else if eq $rbac "auto" -}}
{{- $stream := (include "orchestrator.text" .Values.orchestrator.experiment | fromYaml).stream -}}
{{- if kindIs "map" $stream -}}
{{- if kindIs "map" $stream.admission -}}
{{- if eq (toString $stream.admission.type) "capacity" -}}yes{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/*
The stream's name. It determines the names of jobs and of the folder on the volume, so a stream that is begun again with the same name resumes. A stream
with the same name but other files would be refused, so everything that determines the stream is in the digest.
*/}}
{{- define "orchestrator.id" -}}
{{- if .Values.orchestrator.id -}}
{{- .Values.orchestrator.id -}}
{{- else -}}
{{- $all := list .Release.Name .Release.Namespace (include "orchestrator.files" .) (toJson .Values.orchestrator.extraArgs) (toJson .Values.orchestrator.admission) -}}
{{- printf "%s-%s" (.Release.Name | replace "." "-") (toJson $all | sha256sum | trunc 8) -}}
{{- end -}}
{{- end }}

{{/* The name of the ConfigMap contains a digest of the files, so that they never change under a running pod. */}}
{{- define "orchestrator.configMapName" -}}
{{- include "fltk.fullname" . }}-{{ include "orchestrator.files" . | sha256sum | trunc 8 }}
{{- end }}

{{- define "orchestrator.serviceAccountName" -}}
{{- $account := .Values.orchestrator.serviceAccount -}}
{{- $account.name | default (ternary (include "fltk.fullname" .) "default" $account.create) -}}
{{- end }}
