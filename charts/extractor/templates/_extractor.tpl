{{/* The volumes that the claims are of, with their sizes. */}}
{{- define "extractor.volumes" -}}
log: {{ .Values.extractor.logging.size | quote }}
server: {{ .Values.extractor.output.size | quote }}
{{- if include "fltk.dataClaim" . }}
data: {{ .Values.extractor.data.size | quote }}
{{- end }}
{{- end }}

{{/* No StorageClass of this name is there or needed: it keeps other claims from the volumes, and these claims from provisioners. */}}
{{- define "extractor.hostPathClass" -}}
fltk-host-path
{{- end }}

{{/* Volumes are of the whole cluster, claims of a namespace: (list $ "claim"). A namespace has no dot, so no two have the same. */}}
{{- define "extractor.volumeName" -}}
{{- $ := index . 0 -}}
fltk.{{ $.Release.Namespace }}.{{ index . 1 }}
{{- end }}

{{/* Whether there is anything to look at the records with. */}}
{{- define "extractor.serves" -}}
{{- if or .Values.extractor.serve.enabled .Values.extractor.tensorboard.enabled -}}yes{{- end -}}
{{- end }}

{{/* Before all paths of `fltk serve`, without the slash at the end. */}}
{{- define "extractor.servePrefix" -}}
{{- ternary .Values.extractor.ingress.paths.serve "" .Values.extractor.ingress.enabled | trimSuffix "/" -}}
{{- end }}

{{/* Before all of TensorBoard's pages, without the slash at the end. */}}
{{- define "extractor.pathPrefix" -}}
{{- $ingress := ternary .Values.extractor.ingress.paths.tensorboard "" .Values.extractor.ingress.enabled -}}
{{- .Values.extractor.tensorboard.pathPrefix | default $ingress | trimSuffix "/" -}}
{{- end }}

{{/* Refuses what would show records to everybody who asks. */}}
{{- define "extractor.check" -}}
{{- $ingress := .Values.extractor.ingress -}}
{{- if and $ingress.enabled (not $ingress.allowAnonymous) (not $ingress.auth) -}}
{{- if .Values.extractor.tensorboard.enabled -}}
{{- fail "extractor.ingress would show TensorBoard, which asks nobody who they are, to everybody\nhint: extractor.ingress.auth, which makes the controller ask (docs/charts.md), extractor.tensorboard.enabled=false, or extractor.ingress.allowAnonymous=true" -}}
{{- else if not .Values.extractor.serve.token.secretName -}}
{{- fail "extractor.ingress would show all records to everybody\nhint: extractor.serve.token.secretName, extractor.ingress.auth, which makes the controller ask (docs/charts.md), or extractor.ingress.allowAnonymous=true" -}}
{{- end -}}
{{- end -}}
{{- if and $ingress.enabled (eq ($ingress.paths.serve | trimSuffix "/") ($ingress.paths.tensorboard | trimSuffix "/")) .Values.extractor.serve.enabled .Values.extractor.tensorboard.enabled -}}
{{- fail "extractor.ingress.paths.serve and .tensorboard are the same path" -}}
{{- end -}}
{{- end }}
