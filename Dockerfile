# The image contains only Portico: no shell, no package manager, no demo. scripts/image creates the context.
FROM scratch

LABEL org.opencontainers.image.title="Portico" \
      org.opencontainers.image.description="A login broker between an application and its identity providers" \
      org.opencontainers.image.licenses="Apache-2.0 OR MIT"

COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY licenses /licenses
COPY portico.cdx.json portico.vex.json /
COPY portico /portico
# The directory of the SQLite database, if one is used: mount a volume here.
COPY --chown=65532:65532 data /data

ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    PORTICO_SERVER_LISTEN=0.0.0.0:8080 \
    PORTICO_SERVER_ADMIN_LISTEN=0.0.0.0:9090

USER 65532:65532
WORKDIR /data
EXPOSE 8080 9090
STOPSIGNAL SIGTERM
ENTRYPOINT ["/portico"]
CMD ["serve"]
