{{/* A value as Portico reads it: `false` and 0 are values, numbers keep all their digits. */}}
{{- define "portico.text" -}}
{{- if kindIs "float64" . }}{{ int64 . }}{{ else if not (kindIs "invalid" .) }}{{ toString . }}{{ end -}}
{{- end -}}

{{/*
The variables of one slot. Takes a dict of `protocol`, `slot` and `values`. What is empty is left to Portico's defaults.
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
{{- if .values.clientSecret.existingSecret }}
- name: {{ $prefix }}_CLIENT_SECRET
  valueFrom:
    secretKeyRef:
      name: {{ .values.clientSecret.existingSecret }}
      key: {{ .values.clientSecret.key }}
{{- else if eq .slot "google" }}
{{- fail (printf "%s.clientSecret.existingSecret is required: the slot is enabled" $where) }}
{{- end }}
{{- end -}}

{{/* The whole environment. */}}
{{- define "portico.environment" -}}
- name: PORTICO_PUBLIC_URL
  value: {{ required "publicUrl is required" .Values.publicUrl | quote }}
- name: PORTICO_SERVER_LISTEN
  value: "0.0.0.0:8080"
- name: PORTICO_SERVER_ADMIN_LISTEN
  value: "0.0.0.0:9090"
- name: PORTICO_SECURITY_SECRET_KEY
  valueFrom:
    secretKeyRef:
      name: {{ required "secretKey.existingSecret is required" .Values.secretKey.existingSecret }}
      key: {{ .Values.secretKey.key }}
- name: PORTICO_STORAGE_URL
  valueFrom:
    secretKeyRef:
      name: {{ required "storage.existingSecret is required" .Values.storage.existingSecret }}
      key: {{ .Values.storage.key }}
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
{{- end -}}
