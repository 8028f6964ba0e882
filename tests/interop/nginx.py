"""Debian's nginx on loopback, as an unprivileged process of one test."""

from __future__ import annotations

from pathlib import Path

CONFIGURATION = """
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
    {http}
}}
"""


def configured(directory: Path, http: str) -> list[str]:
    """The command that runs nginx with this in its http block."""
    file = directory / "nginx.conf"
    file.write_text(CONFIGURATION.format(directory=directory, http=http))
    return ["/usr/sbin/nginx", "-p", str(directory), "-c", str(file)]
