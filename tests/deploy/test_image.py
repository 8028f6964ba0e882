"""Tests the contents of the container image, and its service as an unprivileged user on a read-only root."""

from __future__ import annotations

import datetime
import http.client
import http.server
import json
import os
import re
import secrets
import shutil
import ssl
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator
from urllib.parse import quote

import httpx
import pytest
from conftest import ROOT
from container import AS_ROOT, Container, Image
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from release import ALICE, OIDC, OidcProvider, Published, free_port, log_in

USER = 65532


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    directory = tmp_path_factory.mktemp("image")
    yield Image(directory)
    subprocess.run([*AS_ROOT, "rm", "-rf", str(directory)], check=False, timeout=60)


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """A directory that is writable for the user of the container."""
    place = tmp_path / "data"
    place.mkdir()
    subprocess.run([*AS_ROOT, "chown", f"{USER}:{USER}", str(place)], check=True, timeout=20)
    return place


@contextmanager
def serving(image: Image, env: dict[str, str], mounts: dict[str, Path]) -> Iterator[tuple[Container, str]]:
    """Starts a container and yields it with its public address when it is ready."""
    port, admin = free_port(), free_port()
    url = f"http://localhost:{port}"
    container = Container(image, {
        "PORTICO_PUBLIC_URL": url,
        "PORTICO_SECURITY_SECRET_KEY": secrets.token_hex(32),
        "PORTICO_SERVER_LISTEN": f"127.0.0.1:{port}",
        "PORTICO_SERVER_ADMIN_LISTEN": f"127.0.0.1:{admin}",
        **env,
    }, mounts=mounts)
    try:
        container.wait_until_ready(f"http://127.0.0.1:{admin}")
        yield container, url
    finally:
        container.remove()


def test_it_runs_portico_as_nobody_in_particular(image: Image) -> None:
    assert image.config["Entrypoint"] == ["/portico"]
    assert image.config["Cmd"] == ["serve"]
    user, _, group = image.config["User"].partition(":")
    assert int(user) > 0 and int(group) > 0, "the user must be numeric: runAsNonRoot does not resolve names"
    assert set(image.config["ExposedPorts"]) == {"8080/tcp", "9090/tcp"}


def test_it_holds_the_binary_the_roots_and_the_licences_only(image: Image) -> None:
    root = image.unpack() / "rootfs"
    files = {str(file.relative_to(root)) for file in root.rglob("*") if not file.is_dir()}
    assert files == {
        "portico", "portico.cdx.json", "portico.vex.json", "etc/ssl/certs/ca-certificates.crt",
        "licenses/LICENSE-APACHE", "licenses/LICENSE-MIT", "licenses/NOTICE", "licenses/mdi-LICENSE",
    }
    assert sum((root / file).stat().st_size for file in files) < 25_000_000
    assert os.access(root / "portico", os.X_OK)


def test_its_bill_of_materials_names_what_is_linked_and_nothing_else(image: Image) -> None:
    text = (image.context / "portico.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert str(ROOT) not in text
    bill = json.loads(text)
    assert bill["metadata"]["component"]["name"] == "portico"
    components = {component["name"]: component for component in bill["components"]}
    assert {
        "actix-web",
        "sqlx",
        "jsonwebtoken",
        "rustls",
        "aws-lc-sys",
        "libsqlite3-sys",
        "libc6-dev",
        "rust-std",
    } <= set(components)
    assert not {"portico-demo-idp", "rcgen", "proptest", "cc"} & set(components), (
        "no demo, build or test dependencies"
    )
    ours = {name for name in components if name.startswith("portico-")}
    for name, component in components.items():
        if component.get("purl", "").startswith("pkg:cargo/") and name not in ours:
            assert component["hashes"] and component["licenses"], name
    known = {
        bill["metadata"]["component"]["bom-ref"],
        *(component["bom-ref"] for component in bill["components"]),
    }
    assert {
        reference for one in bill["dependencies"] for reference in (one["ref"], *one["dependsOn"])
    } <= known


def test_what_does_not_affect_it_is_said_of_components_of_the_bill(image: Image) -> None:
    text = (image.context / "portico.vex.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bill = json.loads((image.context / "portico.cdx.json").read_text())
    link = f"urn:cdx:{bill['serialNumber'].removeprefix('urn:uuid:')}/{bill['version']}#"
    known = {link + quote(component["bom-ref"], safe="") for component in bill["components"]}
    statements = {one["id"]: one for one in json.loads(text)["vulnerabilities"]}
    assert set(statements) == {"RUSTSEC-2023-0071"}
    for statement in statements.values():
        assert statement["analysis"]["state"] == "not_affected"
        assert {about["ref"] for about in statement["affects"]} <= known


def traces_of_rsa(binary: bytes) -> list[bytes]:
    """What the crate rsa leaves in a program that calls it: paths of its sources, for panics, and messages of its own."""
    found = re.findall(rb"/rsa-[0-9.]+/src/[a-z_/]+\.rs", binary)
    own = [b"nprimes must be >= 2", b"public exponent too small"]
    return [*found[:1], *(message for message in own if message in binary)]


def test_no_code_of_the_crate_rsa_is_in_the_binary(image: Image) -> None:
    """RUSTSEC-2023-0071, as portico.vex.json says."""
    build = ("cargo", "build", "--locked", "--quiet", "-p", "portico-oidc", "--example", "links_rsa")
    subprocess.run(build, cwd=ROOT, check=True, timeout=1200, stdin=subprocess.DEVNULL)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    control = (target / "debug/examples/links_rsa").read_bytes()
    assert len(traces_of_rsa(control)) == 3, "a program that calls it has all traces"
    binary = (image.context / "portico").read_bytes()
    for linked in ["jsonwebtoken", "oauth2"]:
        assert re.search(rb"/%s-[0-9.]+/src/" % linked.encode(), binary), f"{linked} leaves traces"
    assert traces_of_rsa(binary) == []


def test_the_same_sources_give_the_same_image_wherever_they_lie(image: Image, tmp_path: Path) -> None:
    sources = tmp_path / "somewhere/else"
    left_out = shutil.ignore_patterns("target", "node_modules", ".git", "__pycache__")
    shutil.copytree(ROOT, sources, ignore=left_out)
    assert str(ROOT).encode() not in (image.context / "portico").read_bytes()
    again = Image(tmp_path / "again", sources, tmp_path / "another-target")
    assert again.digest == image.digest
    subprocess.run([*AS_ROOT, "rm", "-rf", str(tmp_path / "again")], check=True, timeout=60)


def test_it_is_ready_in_a_moment_whatever_becomes_of_the_providers(image: Image, tmp_path: Path) -> None:
    took = []
    for start in range(5):
        port, admin, dead = free_port(), free_port(), free_port()
        env = {
            "PORTICO_PUBLIC_URL": f"http://localhost:{port}",
            "PORTICO_SECURITY_SECRET_KEY": secrets.token_hex(32),
            "PORTICO_SERVER_LISTEN": f"127.0.0.1:{port}",
            "PORTICO_SERVER_ADMIN_LISTEN": f"127.0.0.1:{admin}",
            "PORTICO_STORAGE_URL": f"sqlite://{tmp_path}/{start}.db",
            "PORTICO_SECURITY_OIDC_PROVIDERS": "provider1",
            "PORTICO_OIDC_PROVIDER1_CLIENT_ID": "portico",
            "PORTICO_OIDC_PROVIDER1_DISCOVERY_URL": f"http://localhost:{dead}",
        }
        started = time.monotonic()
        process = subprocess.Popen(
            [image.context / "portico"],
            env=env,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        try:
            while not answers(admin):
                assert process.poll() is None and time.monotonic() < started + 20
                time.sleep(0.005)
            took.append(time.monotonic() - started)
        finally:
            process.kill()
            process.wait(timeout=20)
    assert min(took) < 0.3, took


def answers(port: int) -> bool:
    """Returns whether the service at this port is ready."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def test_it_has_no_demo(image: Image) -> None:
    container = Container(image, arguments=["demo"])
    try:
        assert container.wait() == 2, container.log()
    finally:
        container.remove()


def test_it_refuses_to_start_without_settings_and_says_why(image: Image) -> None:
    container = Container(image)
    try:
        assert container.wait() == 78, container.log()
        assert "PORTICO_PUBLIC_URL" in container.log()
    finally:
        container.remove()


def test_it_serves_and_drains(image: Image, volume: Path) -> None:
    with serving(image, {}, {"/data": volume}) as (container, url):
        assert httpx.get(f"{url}/auth/providers", trust_env=False).json() == {
            "enabled": False,
            "providers": [],
        }
        assert httpx.get(f"{url}/.well-known/jwks.json", trust_env=False).json()["keys"]
        assert container.stop() == 0, container.log()
    assert (volume / "portico.db").exists(), "the volume is the working directory"


def test_somebody_logs_in(image: Image, volume: Path, tmp_path: Path) -> None:
    release = Published()
    provider = OidcProvider(release, tmp_path)
    try:
        provider.put(ALICE)
        secret = tmp_path / "client-secret"
        secret.write_text(provider.secrets[OIDC] + "\n")
        slot = {
            "PORTICO_PUBLIC_URL": release.public_url,
            "PORTICO_SECURITY_OIDC_PROVIDERS": "provider1",
            "PORTICO_OIDC_PROVIDER1_CLIENT_ID": "web",
            "PORTICO_OIDC_PROVIDER1_CLIENT_SECRET_FILE": "/etc/portico/client-secret",
            "PORTICO_OIDC_PROVIDER1_DISCOVERY_URL": provider.issuer,
        }
        with serving(image, slot, {"/data": volume, "/etc/portico/client-secret": secret}) as (
            container,
            address,
        ):
            browser = log_in(address, provider)
            session = browser.request(
                "GET", f"{address}/auth/session", {"Accept": "application/json"}
            ).response
            assert session.json()["account"]["name"] == ALICE.name
            assert container.stop() == 0, container.log()
    finally:
        provider.stop()


class Discovery(http.server.BaseHTTPRequestHandler):
    """A provider with a discovery document and an empty key set only."""

    def do_GET(self) -> None:
        base = f"https://localhost:{self.server.server_port}"
        body = json.dumps({"keys": []} if self.path == "/keys" else {
            "issuer": base, "authorization_endpoint": f"{base}/authorize", "token_endpoint": f"{base}/token",
            "jwks_uri": f"{base}/keys", "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def https_provider(directory: Path) -> Iterator[tuple[str, Path]]:
    """Runs a provider with TLS and its own certificate authority. Yields its URL and the CA certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Authority of one test")])
    now = datetime.datetime.now(datetime.timezone.utc)
    day = datetime.timedelta(days=1)
    made = x509.CertificateBuilder().issuer_name(name).not_valid_before(now - day).not_valid_after(now + day)
    authority = (
        made.subject_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    own = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        made.subject_name(x509.Name([]))
        .public_key(own.public_key())
        .serial_number(2)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=True)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (directory / "server.pem").write_bytes(certificate.public_bytes(pem) + own.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ))
    (directory / "authority.pem").write_bytes(authority.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "server.pem")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Discovery)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"https://localhost:{server.server_port}", directory / "authority.pem"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("trusted", [True, False], ids=["its roots", "other roots"])
def test_it_resolves_names_and_believes_the_roots_of_the_image(
    image: Image, volume: Path, tmp_path: Path, trusted: bool
) -> None:
    with https_provider(tmp_path) as (provider, authority):
        mounts = {"/data": volume} | ({"/etc/ssl/certs/ca-certificates.crt": authority} if trusted else {})
        slot = {
            "PORTICO_SECURITY_OIDC_PROVIDERS": "provider1",
            "PORTICO_OIDC_PROVIDER1_CLIENT_ID": "portico",
            "PORTICO_OIDC_PROVIDER1_DISCOVERY_URL": provider,
        }
        with serving(image, slot, mounts) as (container, url):
            answer = httpx.get(
                f"{url}/auth/oidc/provider1/login?return_to=/",
                headers={"Accept": "text/html"},
                trust_env=False,
            )
            if trusted:
                assert answer.status_code == 303, container.log()
                assert answer.headers["location"].startswith(f"{provider}/authorize?")
            else:
                assert answer.status_code == 502, container.log()
            assert container.stop() == 0
