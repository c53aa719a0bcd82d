{{/*
What both charts share. The file is in each, the same to the byte: `cargo xtask charts lint` compares them.
*/}}

{{/*
Begins the names of all objects of the release: `<release>-<chart>`, or the release's name where that is the chart's. At most 43 characters, so that
what is put behind fits 63. What can't be the name of a Service (dots, a digit first) or is too long gets a digest in place of that: two releases
never share a name.
*/}}
{{- define "fltk.fullname" -}}
{{- $own := ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) (eq .Release.Name .Chart.Name) -}}
{{- $own = (get .Values .Chart.Name).name | default $own -}}
{{- if and (regexMatch "^[a-z][-a-z0-9]*$" $own) (le (len $own) 43) -}}
{{- $own -}}
{{- else -}}
{{- printf "fltk-%s-%s" ($own | replace "." "-" | trunc 29 | trimSuffix "-") (sha256sum $own | trunc 8) -}}
{{- end -}}
{{- end }}

{{/* Selects the pods of a component: (list $ "component"). */}}
{{- define "fltk.selector" -}}
{{- $ := index . 0 -}}
app.kubernetes.io/name: fltk.{{ $.Chart.Name }}
app.kubernetes.io/instance: {{ $.Release.Name | quote }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* Labels of an object of a component: (list $ "component"). Not of pods: a newer chart alone would restart them. */}}
{{- define "fltk.labels" -}}
{{- $ := index . 0 -}}
{{ include "fltk.selector" . }}
app.kubernetes.io/managed-by: {{ $.Release.Service }}
app.kubernetes.io/part-of: fltk
app.kubernetes.io/version: {{ $.Chart.AppVersion | quote }}
helm.sh/chart: {{ $.Chart.Name }}-{{ $.Chart.Version }}
{{- end }}

{{/*
An image of the provider: (list $ "name:tag"). No registry has ours, so there is no default: neither for the name, nor for the registry, without which
nodes would ask a public one.
*/}}
{{- define "fltk.image" -}}
{{- $ := index . 0 -}}
{{- if not (index . 1) -}}
{{- fail "provider.imageName is missing: which image pods run\nhint: no registry has one; `cargo xtask image` builds it, and provider.domain, .projectName and .imageName say where it is (docs/images.md)" -}}
{{- end -}}
{{- $image := join "/" (compact (list ($.Values.provider.domain | trimSuffix "/") ($.Values.provider.projectName | trimAll "/") (index . 1))) -}}
{{- $first := splitList "/" $image | first -}}
{{- if not (and (contains "/" $image) (or (eq $first "localhost") (contains "." $first) (contains ":" $first))) -}}
{{- fail (printf "provider.domain is missing: nodes would look for the image %s in a public registry, which hasn't ours\nhint: the registry that you pushed it to; `localhost` where it is given to nodes by hand" $image) -}}
{{- end -}}
{{- $image -}}
{{- end }}

{{/* The image of jobs. */}}
{{- define "fltk.jobImage" -}}
{{- include "fltk.image" (list . .Values.provider.imageName) -}}
{{- end }}

{{/* The image of what trains nothing. */}}
{{- define "fltk.serverImage" -}}
{{- include "fltk.image" (list . (.Values.provider.orchestratorImageName | default .Values.provider.imageName)) -}}
{{- end }}

{{/* The image of TensorBoard: beside the one of jobs, with its tag, unless it is named. */}}
{{- define "fltk.tensorboardImage" -}}
{{- $of := .Values.provider.imageName -}}
{{- $name := .Values.provider.tensorboardImageName -}}
{{- if and $of (not $name) -}}
{{- if contains "@" $of -}}
{{- fail "provider.tensorboardImageName is missing: provider.imageName is a digest, which no other image has\nhint: or extractor.tensorboard.enabled=false" -}}
{{- end -}}
{{- $parts := splitList "/" $of -}}
{{- $tag := regexFind ":[^:]*$" (last $parts) -}}
{{- $name = append (initial $parts) (print "fltk-tensorboard" $tag) | join "/" -}}
{{- end -}}
{{- include "fltk.image" (list . $name) -}}
{{- end }}

{{/* When images are pulled, by its name of today or by those of 2021; empty for Kubernetes' own default. */}}
{{- define "fltk.whenPulled" -}}
{{- $orchestrator := ternary ((.Values.orchestrator).pullPolicy) "" (eq .Chart.Name "orchestrator") -}}
{{- .Values.fltk.pullPolicy | default .Values.provider.imagePullPolicy | default $orchestrator -}}
{{- end }}

{{/* Values that KFLTK's users have and nothing reads: a line of the notes, or nothing. */}}
{{- define "fltk.notRead" -}}
{{- $of := get .Values .Chart.Name -}}
{{- $all := dict "image" .Values.image "fltk.config" .Values.fltk.config -}}
{{- range $name := list "dataset" "configurationFile" "experimentFile" "provided" -}}
{{- $value := get $of $name -}}
{{- if kindIs "map" $value -}}{{- $value = values $value | compact -}}{{- end -}}
{{- $_ := set $all (printf "%s.%s" $.Chart.Name $name) $value -}}
{{- end -}}
{{- $given := list -}}
{{- range $name, $value := $all -}}{{- if $value -}}{{- $given = append $given $name -}}{{- end -}}{{- end -}}
{{- with $given -}}
Given, and not read, here as in KFLTK's charts: {{ join ", " . }}.
{{- end -}}
{{- end }}

{{/* When images are pulled, and with which secrets: lines of a container and of a pod. */}}
{{- define "fltk.pullPolicy" -}}
{{- with include "fltk.whenPulled" . }}
imagePullPolicy: {{ . }}
{{- end }}
{{- end }}

{{- define "fltk.pullSecrets" -}}
{{- with .Values.provider.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* A folder within the working folder: (list $ "name"). */}}
{{- define "fltk.path" -}}
{{- $ := index . 0 -}}
{{- printf "%s/%s" ($.Values.fltk.workDir | trimSuffix "/") (index . 1 | trimAll "/") -}}
{{- end }}

{{/* The claim of data sets; empty where none are asked for. */}}
{{- define "fltk.dataClaim" -}}
{{- if .Values.extractor.data.sets -}}{{- .Values.storage.claims.data -}}{{- end -}}
{{- end }}

{{/*
Where pods may run, as their `nodeSelector`, `tolerations`, `affinity` and `priorityClassName`: of a block of values.
*/}}
{{- define "fltk.placement" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- end }}
