{{/* A value in the syntax of Portico's settings. `false` and 0 are values; numbers keep all their digits. */}}
{{- define "portico.text" -}}
{{- if kindIs "float64" . }}{{ int64 . }}{{ else if not (kindIs "invalid" .) }}{{ toString . }}{{ end -}}
{{- end -}}

{{/* The name of the Secret that the chart creates from values in clear; only with `dev`. */}}
{{- define "portico.devSecret" -}}
{{ include "portico.name" . }}-dev
{{- end -}}

{{/*
All secrets: a list of dicts of `name` (the volume), `variable`, `secret` and `key`, as YAML. Values in clear
are in the Secret of the chart, under the name of their volume.
*/}}
{{- define "portico.secrets" -}}
{{- $own := include "portico.devSecret" . -}}
{{- $secrets := list -}}
{{- with .Values.secretKey -}}
{{- if .existingSecret -}}
{{- $secrets = append $secrets (dict "name" "secret-key" "variable" "SECURITY_SECRET_KEY" "secret" .existingSecret "key" .key) -}}
{{- if .previousKey -}}
{{- $secrets = append $secrets (dict "name" "secret-key-previous" "variable" "SECURITY_SECRET_KEY_PREVIOUS" "secret" .existingSecret "key" .previousKey) -}}
{{- end -}}
{{- else if .value -}}
{{- $secrets = append $secrets (dict "name" "secret-key" "variable" "SECURITY_SECRET_KEY" "secret" $own "key" "secret-key") -}}
{{- else -}}
{{- fail "secretKey.existingSecret is required" -}}
{{- end -}}
{{- end -}}
{{- with .Values.storage -}}
{{- if and .sqlite.enabled (or .existingSecret .url) -}}
{{- fail "storage: either sqlite or a database address, not both" -}}
{{- else if .existingSecret -}}
{{- $secrets = append $secrets (dict "name" "storage" "variable" "STORAGE_URL" "secret" .existingSecret "key" .key) -}}
{{- else if .url -}}
{{- $secrets = append $secrets (dict "name" "storage" "variable" "STORAGE_URL" "secret" $own "key" "storage") -}}
{{- else if not .sqlite.enabled -}}
{{- fail "storage.existingSecret is required (or storage.sqlite.enabled)" -}}
{{- end -}}
{{- end -}}
{{- range $protocol := list "oidc" "oauth2" -}}
{{- $slots := index $.Values $protocol -}}
{{- range $slot := $slots.enabled -}}
{{- $values := index $slots $slot -}}
{{- $name := printf "%s-%s" $protocol $slot -}}
{{- $prefix := printf "%s_%s" (upper $protocol) (upper $slot) -}}
{{- with $values.clientSecret -}}
{{- if .existingSecret -}}
{{- $secrets = append $secrets (dict "name" (printf "%s-secret" $name) "variable" (printf "%s_CLIENT_SECRET" $prefix) "secret" .existingSecret "key" .key) -}}
{{- if .nextKey -}}
{{- $secrets = append $secrets (dict "name" (printf "%s-next" $name) "variable" (printf "%s_CLIENT_SECRET_NEXT" $prefix) "secret" .existingSecret "key" .nextKey) -}}
{{- end -}}
{{- else if .value -}}
{{- $secrets = append $secrets (dict "name" (printf "%s-secret" $name) "variable" (printf "%s_CLIENT_SECRET" $prefix) "secret" $own "key" (printf "%s-secret" $name)) -}}
{{- else if eq $slot "google" -}}
{{- fail (printf "%s.google.clientSecret.existingSecret is required: the slot is enabled" $protocol) -}}
{{- end -}}
{{- end -}}
{{- if $values.clientKey.existingSecret -}}
{{- $secrets = append $secrets (dict "name" (printf "%s-key" $name) "variable" (printf "%s_CLIENT_KEY" $prefix) "secret" $values.clientKey.existingSecret "key" $values.clientKey.key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $secrets -}}
{{- end -}}

{{/*
The variables of one slot. Takes a dict of `protocol`, `slot` and `values`. Empty values are left out: Portico's
defaults apply.
*/}}
{{- define "portico.slot" -}}
{{- $prefix := printf "PORTICO_%s_%s" (upper .protocol) (upper .slot) -}}
{{- $where := printf "%s.%s" .protocol .slot -}}
{{- $plain := dict
  "CLIENT_ID" (required (printf "%s.clientId is required: the slot is enabled" $where) .values.clientId)
  "DISPLAY_LABEL" .values.displayLabel
  "ICON" .values.icon
  "DISCOVERY_URL" .values.discoveryUrl
  "AUTHORIZATION_URL" .values.authorizationUrl
  "TOKEN_URL" .values.tokenUrl
  "USERINFO_URL" .values.userinfoUrl
-}}
{{- if ne .slot "google" -}}
{{- range $name := ternary (list "discoveryUrl") (list "authorizationUrl" "tokenUrl" "userinfoUrl") (eq .protocol "oidc") -}}
{{- $_ := required (printf "%s.%s is required: the slot is enabled" $where $name) (index $.values $name) -}}
{{- end -}}
{{- end -}}
{{- range $name, $value := .values.settings }}
{{- $_ := set $plain (upper $name) $value -}}
{{- end -}}
{{- range $name, $value := $plain }}
{{- $text := include "portico.text" $value }}
{{- if $text }}
- name: {{ $prefix }}_{{ $name }}
  value: {{ $text | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The complete environment of the container. */}}
{{- define "portico.environment" -}}
- name: PORTICO_PUBLIC_URL
  value: {{ required "publicUrl is required" .Values.publicUrl | quote }}
- name: PORTICO_SERVER_LISTEN
  value: "0.0.0.0:8080"
- name: PORTICO_SERVER_ADMIN_LISTEN
  value: "0.0.0.0:9090"
{{- if .Values.storage.sqlite.enabled }}
- name: PORTICO_STORAGE_URL
  value: sqlite:///var/lib/portico/portico.db
{{- end }}
{{- if .Values.storage.migrationJob }}
{{- if hasKey .Values.settings "STORAGE_AUTO_MIGRATE" }}{{ fail "settings.STORAGE_AUTO_MIGRATE: storage.migrationJob decides it; leave it out" }}{{ end }}
- name: PORTICO_STORAGE_AUTO_MIGRATE
  value: "false"
{{- end }}
{{- range fromYamlArray (include "portico.secrets" .) }}
- name: PORTICO_{{ .variable }}_FILE
  value: /etc/portico/{{ .name }}/value
{{- end }}
{{- range $protocol := list "oidc" "oauth2" }}
{{- $slots := index $.Values $protocol }}
{{- if $slots.enabled }}
- name: PORTICO_SECURITY_{{ upper $protocol }}_PROVIDERS
  value: {{ join "," $slots.enabled | quote }}
{{- end }}
{{- range $slot := $slots.enabled }}
{{- include "portico.slot" (dict "protocol" $protocol "slot" $slot "values" (index $slots $slot)) }}
{{- end }}
{{- end }}
{{- range $name, $value := .Values.settings }}
- name: PORTICO_{{ $name }}
  value: {{ include "portico.text" $value | quote }}
{{- end }}
{{- with .Values.traces.endpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ . | quote }}
{{- end }}
{{- end -}}

{{/* Volumes of secrets and certificates. Mounts are whole directories, so that Kubernetes updates changed files. */}}
{{- define "portico.fileVolumes" -}}
{{- range fromYamlArray (include "portico.secrets" .) }}
- name: {{ .name }}
  secret:
    secretName: {{ .secret }}
    defaultMode: 0440
    items:
      - { key: {{ .key | quote }}, path: value }
{{- end }}
{{- with .Values.certificateAuthorities.existingConfigMap }}
- name: certificate-authorities
  configMap:
    name: {{ . }}
{{- end }}
{{- end -}}

{{- define "portico.fileMounts" -}}
{{- range fromYamlArray (include "portico.secrets" .) }}
- { name: {{ .name }}, mountPath: /etc/portico/{{ .name }}, readOnly: true }
{{- end }}
{{- if .Values.certificateAuthorities.existingConfigMap }}
- { name: certificate-authorities, mountPath: /etc/portico-ca, readOnly: true }
{{- end }}
{{- end -}}

{{/* The file volumes, and the volume of the SQLite database if it is enabled. */}}
{{- define "portico.volumes" -}}
{{- include "portico.fileVolumes" . }}
{{- if .Values.storage.sqlite.enabled }}
- name: data
  persistentVolumeClaim:
    claimName: {{ .Values.storage.sqlite.existingClaim | default (include "portico.name" .) }}
{{- end }}
{{- end -}}

{{- define "portico.mounts" -}}
{{- include "portico.fileMounts" . }}
{{- if .Values.storage.sqlite.enabled }}
- { name: data, mountPath: /var/lib/portico }
{{- end }}
{{- end -}}

{{/* The security context of every pod. */}}
{{- define "portico.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "portico.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: ["ALL"]
{{- end -}}

{{- define "portico.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
