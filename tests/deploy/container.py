"""Builds and runs the container image without an engine, with buildah, umoci and runc."""

from __future__ import annotations

import json
import os
import subprocess
import time
import uuid
from pathlib import Path

import httpx
from conftest import ROOT

AS_ROOT = [] if os.geteuid() == 0 else ["sudo"]
PATH = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}


def run(*command: str | Path, cwd: Path | None = None, limit: int = 120) -> str:
    done = subprocess.run(
        [*AS_ROOT, *map(str, command)], cwd=cwd, env=PATH, capture_output=True, text=True, timeout=limit,
    )
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
    return done.stdout


class Image:
    """The image of these sources, built with scripts/image and the Dockerfile into an OCI directory."""

    def __init__(self, directory: Path, sources: Path = ROOT, target: Path | None = None) -> None:
        self.directory = directory
        self.context = directory / "context"
        env = {**os.environ, **({"CARGO_TARGET_DIR": str(target)} if target else {})}
        subprocess.run(
            [sources / "scripts/image", self.context],
            check=True,
            timeout=1800,
            stdin=subprocess.DEVNULL,
            env=env,
        )
        buildah = (
            "buildah",
            "--storage-driver",
            "vfs",
            "--root",
            directory / "store",
            "--runroot",
            directory / "runroot",
        )
        run(*buildah, "bud", "--isolation", "chroot", "--timestamp", "0", "-t", "portico:test", self.context)
        run(*buildah, "push", "portico:test", f"oci:{directory}/oci:test")
        self.config = json.loads(run("skopeo", "inspect", "--config", f"oci:{directory}/oci:test"))["config"]
        self.digest = run("skopeo", "inspect", "--format", "{{.Digest}}", f"oci:{directory}/oci:test").strip()

    def unpack(self) -> Path:
        """Unpacks the image into a new runtime bundle."""
        bundle = self.directory / f"bundle-{uuid.uuid4().hex[:8]}"
        run("umoci", "unpack", "--image", f"{self.directory}/oci:test", bundle)
        if AS_ROOT:
            run("chown", str(os.getuid()), bundle, bundle / "config.json")
        return bundle


class Container:
    """A container of the image: read-only, without new privileges, on the host's network."""

    def __init__(
        self, image: Image, env: dict[str, str] | None = None, arguments: list[str] | None = None,
        mounts: dict[str, Path] | None = None,
    ) -> None:
        self.name = f"portico-{uuid.uuid4().hex[:12]}"
        self.bundle = image.unpack()
        self.log_file = self.bundle / "log"
        self._configure(env or {}, arguments, mounts or {})
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                [*AS_ROOT, "runc", "run", "--bundle", str(self.bundle), self.name],
                env=PATH, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            )

    def _configure(self, env: dict[str, str], arguments: list[str] | None, mounts: dict[str, Path]) -> None:
        file = self.bundle / "config.json"
        config = json.loads(file.read_text())
        process = config["process"]
        process["terminal"] = False
        process["env"] += [f"{name}={value}" for name, value in env.items()]
        if arguments is not None:
            process["args"] = ["/portico", *arguments]
        config["root"]["readonly"] = True
        # Files that every runtime mounts into a container.
        given = {"/etc/hosts": Path("/etc/hosts"), "/etc/resolv.conf": Path("/etc/resolv.conf"), **mounts}
        config["mounts"] = [m for m in config["mounts"] if m["destination"] not in given] + [
            {
                "destination": where,
                "type": "bind",
                "source": str(what),
                "options": ["bind", "rw" if what.is_dir() else "ro"],
            }
            for where, what in given.items()
        ]
        kept = [
            space for space in config["linux"]["namespaces"] if space["type"] not in ("network", "cgroup")
        ]
        config["linux"]["namespaces"] = kept
        file.write_text(json.dumps(config))

    def wait_until_ready(self, admin: str) -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            assert self.process.poll() is None, f"exited with {self.process.returncode}: {self.log()}"
            try:
                if httpx.get(f"{admin}/readyz", trust_env=False).status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
        raise AssertionError(f"not ready in 20 s: {self.log()}")

    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def wait(self, limit: int = 20) -> int:
        return self.process.wait(timeout=limit)

    def stop(self) -> int:
        """Sends SIGTERM, like `docker stop` and Kubernetes. Returns the exit code."""
        run("runc", "kill", self.name, "TERM")
        return self.wait()

    def remove(self) -> None:
        if self.process.poll() is None:
            subprocess.run(
                [*AS_ROOT, "runc", "kill", self.name, "KILL"], env=PATH, capture_output=True, timeout=20
            )
            self.process.wait(timeout=20)
