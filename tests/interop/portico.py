"""The `portico` process, configured by environment variables only."""

from __future__ import annotations

import json
import os
import random
import secrets
import signal
import socket
import subprocess
import time
from pathlib import Path

import httpx

BINARY = os.environ.get("PORTICO_TEST_BINARY") or str(
    Path(__file__).resolve().parents[2] / "target" / "debug" / "portico"
)


def free_port() -> int:
    """Returns a free port below the ephemeral range, so that no outgoing connection takes it."""
    for port in random.sample(range(10_000, 20_000), 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass
    raise AssertionError("no free port")


def run(*arguments: str, env: dict[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Runs a command of the `portico` binary to its end. `env` is its whole environment."""
    return subprocess.run([BINARY, *arguments], env=env, cwd=cwd, capture_output=True, text=True, timeout=60)


class Portico:
    """A `portico serve` process, and commands with the same settings."""

    def __init__(self, directory: Path, storage_url: str, **settings: str) -> None:
        port, admin = free_port(), free_port()
        self.directory = directory
        self.public_url = f"http://localhost:{port}"
        self.admin_url = f"http://127.0.0.1:{admin}"
        self.log_file = directory / "portico.log"
        self.env = {
            "PORTICO_PUBLIC_URL": self.public_url,
            "PORTICO_SERVER_LISTEN": f"127.0.0.1:{port}",
            "PORTICO_SERVER_ADMIN_LISTEN": f"127.0.0.1:{admin}",
            "PORTICO_SECURITY_SECRET_KEY": secrets.token_hex(32),
            "PORTICO_STORAGE_URL": storage_url,
            "PORTICO_SERVER_RATE_LIMIT": "0",
            **{f"PORTICO_{name}": value for name, value in settings.items()},
        }
        self.process: subprocess.Popen[bytes] | None = None

    def redirect_uri(self, slot: str) -> str:
        return f"{self.public_url}/auth/{slot}/callback"

    def replica(self, directory: Path) -> Portico:
        """Returns a second replica: same public URL, key and database, but own listeners."""
        other = Portico(directory, self.env["PORTICO_STORAGE_URL"])
        own = {name: other.env[name] for name in ("PORTICO_SERVER_LISTEN", "PORTICO_SERVER_ADMIN_LISTEN")}
        other.env = {**self.env, **own}
        return other

    @property
    def address(self) -> str:
        """The listen address of this process, independent of its public URL."""
        return "http://localhost:" + self.env["PORTICO_SERVER_LISTEN"].rsplit(":", 1)[1]

    def start(self) -> None:
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [BINARY, "serve"], env=self.env, cwd=self.directory,
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            assert self.process.poll() is None, f"portico ended with {self.process.returncode}:\n{self.log()}"
            try:
                if httpx.get(f"{self.admin_url}/readyz", trust_env=False).status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.02)
        raise AssertionError(f"portico was not ready in 20 s:\n{self.log()}")

    def stop(self) -> int:
        """Stops the process gracefully. Returns its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def log(self) -> str:
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def command(self, *words: str) -> object:
        """Runs a command while the service runs. Returns its JSON."""
        done = run(*words, "--json", env=self.env, cwd=self.directory)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def accounts(self) -> list[dict]:
        """Returns the JSON of `portico accounts list`."""
        return self.command("accounts", "list")
