{{/* The volumes behind the claims, with their sizes. */}}
{{- define "extractor.volumes" -}}
log: {{ .Values.extractor.logging.size | quote }}
server: {{ .Values.extractor.output.size | quote }}
{{- if include "fltk.dataClaim" . }}
data: {{ .Values.extractor.data.size | quote }}
{{- end }}
{{- end }}

{{/* No StorageClass of this name exists or is needed: the name keeps other claims from binding to the volumes, and provisioners from serving these claims. */}}
{{- define "extractor.hostPathClass" -}}
fltk-host-path
{{- end }}

{{/* A volume's name: (list $ "claim"). Volumes are cluster-scoped, claims namespaced. A namespace's name has no dot, so volume names are unique. */}}
{{- define "extractor.volumeName" -}}
{{- $ := index . 0 -}}
fltk.{{ $.Release.Namespace }}.{{ index . 1 }}
{{- end }}

{{/* True if a program that serves records is enabled. */}}
{{- define "extractor.serves" -}}
{{- if or .Values.extractor.serve.enabled .Values.extractor.tensorboard.enabled -}}yes{{- end -}}
{{- end }}

{{/* The prefix of all paths of `fltk serve`, without the slash at the end. */}}
{{- define "extractor.servePrefix" -}}
{{- ternary .Values.extractor.ingress.paths.serve "" .Values.extractor.ingress.enabled | trimSuffix "/" -}}
{{- end }}

{{/* The prefix of the paths of TensorBoard's pages, without the slash at the end. */}}
{{- define "extractor.pathPrefix" -}}
{{- $ingress := ternary .Values.extractor.ingress.paths.tensorboard "" .Values.extractor.ingress.enabled -}}
{{- .Values.extractor.tensorboard.pathPrefix | default $ingress | trimSuffix "/" -}}
{{- end }}

{{/* The host names that `fltk serve` accepts if it requires no token: its Service's, the Ingress's, and those of the values. */}}
{{- define "extractor.hosts" -}}
{{- $service := printf "%s.%s.svc" (include "fltk.fullname" .) .Release.Namespace -}}
{{- $hosts := list (include "fltk.fullname" .) (trimSuffix ".svc" $service) $service (printf "%s.cluster.local" $service) -}}
{{- if .Values.extractor.ingress.enabled -}}{{- $hosts = append $hosts .Values.extractor.ingress.host -}}{{- end -}}
{{- concat $hosts .Values.extractor.serve.hosts | uniq | toJson -}}
{{- end }}

{{/* A description of the programs without authentication; empty if all have it. */}}
{{- define "extractor.open" -}}
{{- if .Values.extractor.tensorboard.enabled -}}
TensorBoard, which asks nobody who they are,
{{- else if and .Values.extractor.serve.enabled (not .Values.extractor.serve.token.secretName) -}}
all records
{{- end -}}
{{- end }}

{{/* Refuses values that would expose records to everybody. */}}
{{- define "extractor.check" -}}
{{- $ingress := .Values.extractor.ingress -}}
{{- $service := .Values.extractor.service -}}
{{- $open := include "extractor.open" . -}}
{{- $remedy := ternary "extractor.tensorboard.enabled=false" "extractor.serve.token.secretName" .Values.extractor.tensorboard.enabled -}}
{{- if and $open $ingress.enabled (not $ingress.allowAnonymous) (not $ingress.auth) -}}
{{- fail (printf "extractor.ingress would show %s to everybody\nhint: extractor.ingress.auth, which makes the controller ask (docs/charts.md), %s, or extractor.ingress.allowAnonymous=true" $open $remedy) -}}
{{- end -}}
{{- if and $open (ne $service.type "ClusterIP") (not $service.allowAnonymous) -}}
{{- fail (printf "extractor.service.type=%s would show %s to everybody outside of the cluster\nhint: ClusterIP, with `kubectl port-forward` or an Ingress that asks (docs/charts.md), %s, or extractor.service.allowAnonymous=true" $service.type $open $remedy) -}}
{{- end -}}
{{- if and $ingress.enabled (eq ($ingress.paths.serve | trimSuffix "/") ($ingress.paths.tensorboard | trimSuffix "/")) .Values.extractor.serve.enabled .Values.extractor.tensorboard.enabled -}}
{{- fail "extractor.ingress.paths.serve and .tensorboard are the same path" -}}
{{- end -}}
{{- end }}
