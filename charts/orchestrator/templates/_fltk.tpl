{{/*
Definitions that both charts share. Each chart has a copy of this file, byte for byte the same: `cargo xtask charts lint` compares them.
*/}}

{{/*
The prefix of the names of all objects of the release: `<release>-<chart>`, or only the release's name if it is the same as the chart's. It has at most 43
characters, so that names with a suffix fit in 63. A name that is invalid for a Service (dots, a leading digit) or too long is replaced by one with
a digest, so two releases never share a name.
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

{{/* The labels that select the pods of a component: (list $ "component"). */}}
{{- define "fltk.selector" -}}
{{- $ := index . 0 -}}
app.kubernetes.io/name: fltk.{{ $.Chart.Name }}
app.kubernetes.io/instance: {{ $.Release.Name | quote }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* The labels of an object of a component: (list $ "component"). Pods don't have them, since a new version of the chart would restart the pods. */}}
{{- define "fltk.labels" -}}
{{- $ := index . 0 -}}
{{ include "fltk.selector" . }}
app.kubernetes.io/managed-by: {{ $.Release.Service }}
app.kubernetes.io/part-of: fltk
app.kubernetes.io/version: {{ $.Chart.AppVersion | quote }}
helm.sh/chart: {{ $.Chart.Name }}-{{ $.Chart.Version }}
{{- end }}

{{/*
An image of the provider: (list $ "name:tag"). No registry has our images, so there is no default for the name, nor for the registry, without which
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

{{/* The image of programs that don't train. */}}
{{- define "fltk.serverImage" -}}
{{- include "fltk.image" (list . (.Values.provider.orchestratorImageName | default .Values.provider.imageName)) -}}
{{- end }}

{{/* The image of TensorBoard: unless it is named, in the same place and with the same tag as the image of jobs. */}}
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

{{/* The image pull policy, from its current value or from those of 2021; empty for Kubernetes' own default. */}}
{{- define "fltk.whenPulled" -}}
{{- $orchestrator := ternary ((.Values.orchestrator).pullPolicy) "" (eq .Chart.Name "orchestrator") -}}
{{- .Values.fltk.pullPolicy | default .Values.provider.imagePullPolicy | default $orchestrator -}}
{{- end }}

{{/* A line of the notes about values of KFLTK that are set and not read; empty if there are none. */}}
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

{{/* The image pull policy and the image pull secrets, as lines of a container and of a pod. */}}
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

{{/* The environment variables for the logs of our programs. */}}
{{- define "fltk.logEnv" -}}
{{- with .Values.fltk.log.level }}
- name: FLTK_LOG
  value: {{ . | quote }}
{{- end }}
{{- with .Values.fltk.log.format }}
- name: FLTK_LOG_FORMAT
  value: {{ . | quote }}
{{- end }}
{{- end }}

{{/* The path of a folder within the working folder: (list $ "name"). */}}
{{- define "fltk.path" -}}
{{- $ := index . 0 -}}
{{- printf "%s/%s" ($.Values.fltk.workDir | trimSuffix "/") (index . 1 | trimAll "/") -}}
{{- end }}

{{/* The claim of data sets; empty if no data sets are requested. */}}
{{- define "fltk.dataClaim" -}}
{{- if .Values.extractor.data.sets -}}{{- .Values.storage.claims.data -}}{{- end -}}
{{- end }}

{{/*
The placement of pods from a block of values: `nodeSelector`, `tolerations`, `affinity` and `priorityClassName`.
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
