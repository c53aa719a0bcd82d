{{/* The orchestrator's pod, of a Job or a Deployment. */}}
{{- define "orchestrator.pod" -}}
{{- $config := include "fltk.path" (list . .Values.fltk.configDir) -}}
metadata:
  labels:
    {{- with .Values.orchestrator.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- include "fltk.selector" (list . "orchestrator") | nindent 4 }}
    fltk.service: fl-server
  {{- with .Values.orchestrator.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  # It asks the API server for jobs.
  automountServiceAccountToken: true
  serviceAccountName: {{ include "orchestrator.serviceAccountName" . | quote }}
  enableServiceLinks: false
  {{- if eq .Values.orchestrator.kind "Job" }}
  restartPolicy: Never
  {{- end }}
  {{- with include "fltk.pullSecrets" . | trim }}{{ . | nindent 2 }}{{ end }}
  {{- with include "fltk.placement" .Values.orchestrator | trim }}{{ . | nindent 2 }}{{ end }}
  securityContext:
    {{- toYaml .Values.orchestrator.podSecurityContext | nindent 4 }}
  containers:
    - name: orchestrator
      image: {{ include "fltk.serverImage" . | quote }}
      {{- with include "fltk.pullPolicy" . | trim }}{{ . | nindent 6 }}{{ end }}
      args:
        - cluster
        {{- if include "orchestrator.text" .Values.orchestrator.configuration }}
        - {{ $config }}/{{ base .Values.orchestrator.runtime.configurationFile }}
        {{- end }}
        - {{ $config }}/{{ base .Values.orchestrator.runtime.experimentFile }}
        - {{ $config }}/kubernetes.yaml
        - --id={{ include "orchestrator.id" . }}
        - --namespace={{ .Release.Namespace }}
        - --runs={{ include "fltk.path" (list . .Values.fltk.outputDir) }}
        - --listen=0.0.0.0:9090
        # The pod before this one may still be ending, as in an upgrade.
        - --wait=2min
        {{- if eq .Values.orchestrator.kind "Deployment" }}
        - --linger
        {{- end }}
        {{- with .Values.orchestrator.admission }}
        - {{ printf "--set=stream.admission=%s" (toJson .) | quote }}
        {{- end }}
        {{- range .Values.orchestrator.extraArgs }}
        - {{ . | quote }}
        {{- end }}
      env:
        - name: HOME
          value: /tmp
        {{- with include "fltk.logEnv" . | trim }}{{ . | nindent 8 }}{{ end }}
      ports:
        - name: metrics
          containerPort: 9090
      # It listens once the API server took its objects in a dry run. Where that isn't there it gives up by itself, after at most 10 minutes.
      startupProbe:
        httpGet: { path: /healthz, port: metrics }
        periodSeconds: 5
        failureThreshold: 144
      livenessProbe:
        httpGet: { path: /healthz, port: metrics }
        periodSeconds: 20
        timeoutSeconds: 5
      readinessProbe:
        httpGet: { path: /readyz, port: metrics }
        periodSeconds: 10
        timeoutSeconds: 5
      resources:
        requests:
          cpu: {{ .Values.orchestrator.cpu | toString | quote }}
          memory: {{ .Values.orchestrator.memory | toString | quote }}
        limits:
          cpu: {{ .Values.orchestrator.cpu | toString | quote }}
          memory: {{ .Values.orchestrator.memory | toString | quote }}
      securityContext:
        {{- toYaml .Values.orchestrator.securityContext | nindent 8 }}
      # Why it ended, in the pod's status.
      terminationMessagePolicy: FallbackToLogsOnError
      volumeMounts:
        - name: config
          mountPath: {{ $config | quote }}
          readOnly: true
        # Its journal: another pod goes on by it.
        - name: output
          mountPath: {{ include "fltk.path" (list . .Values.fltk.outputDir) | quote }}
        - name: tmp
          mountPath: /tmp
  volumes:
    - name: config
      configMap:
        name: {{ include "orchestrator.configMapName" . | quote }}
    - name: output
      persistentVolumeClaim:
        claimName: {{ .Values.storage.claims.server | quote }}
    - name: tmp
      emptyDir: {}
{{- end }}

{{/* The `spec` of the Job. */}}
{{- define "orchestrator.jobSpec" -}}
backoffLimit: {{ .Values.orchestrator.backoffLimit }}
{{- if not (kindIs "invalid" .Values.orchestrator.ttlSecondsAfterFinished) }}
ttlSecondsAfterFinished: {{ .Values.orchestrator.ttlSecondsAfterFinished }}
{{- end }}
# Two at once would want the same journal.
podReplacementPolicy: Failed
# fltk's exit codes (`fltk --help`).
podFailurePolicy:
  rules:
    # Pushed off its node: another goes on.
    - action: Ignore
      onPodConditions:
        - { type: DisruptionTarget, status: "True" }
    # Stopped, as when its pod was deleted or a probe failed: another goes on, at once.
    - action: Ignore
      onExitCodes: { containerName: orchestrator, operator: In, values: [130] }
    # The command line or a file is wrong, or a job of the stream failed: to try again changes nothing.
    - action: FailJob
      onExitCodes: { containerName: orchestrator, operator: In, values: [2, 3, 5] }
template:
  {{- include "orchestrator.pod" . | nindent 2 }}
{{- end }}

{{/* A Job is immutable and can only be replaced, so its name contains a digest of its whole specification. */}}
{{- define "orchestrator.jobName" -}}
{{- include "fltk.fullname" . }}-{{ include "orchestrator.jobSpec" . | sha256sum | trunc 8 }}
{{- end }}

{{/* The orchestrator's workload, in the form that kubectl accepts. */}}
{{- define "orchestrator.workload" -}}
{{- if eq .Values.orchestrator.kind "Job" -}}job/{{ include "orchestrator.jobName" . }}{{- else -}}deployment/{{ include "fltk.fullname" . }}{{- end -}}
{{- end }}
