"""A real proxy on loopback, as an unprivileged process of one test: Debian's nginx or another command."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

import httpx

CONFIGURATION = """
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi; uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
    {http}
}}
"""


def configured(directory: Path, http: str) -> list[str]:
    """Returns the command that runs nginx with this http block."""
    file = directory / "nginx.conf"
    file.write_text(CONFIGURATION.format(directory=directory, http=http))
    return ["/usr/sbin/nginx", "-p", str(directory), "-c", str(file)]


@contextmanager
def fronting(command: list[str], directory: Path, address: str) -> Iterator[None]:
    """Runs a proxy in front of the service at this address."""
    quiet = subprocess.DEVNULL
    env = {"HOME": str(directory), "PATH": os.environ["PATH"]}
    proxy = subprocess.Popen(command, cwd=directory, env=env, stdin=quiet, stdout=quiet, stderr=quiet)
    try:
        deadline = time.monotonic() + 10
        while not answers(address):
            assert proxy.poll() is None and time.monotonic() < deadline, "the proxy forwards no request"
            time.sleep(0.02)
        yield
    finally:
        proxy.terminate()
        proxy.wait(timeout=10)


def answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/auth/providers", trust_env=False).is_success
    except httpx.HTTPError:
        return False
