"""Debian's `glewlwyd`, configured through its JSON API."""

from __future__ import annotations

import os
import secrets
import sqlite3
import subprocess
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
from browser import Answer, Browser
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from people import OAUTH2, OIDC, Person
from portico import Portico, free_port


class Glewlwyd:
    """Debian's `glewlwyd`.

    The OpenID plugin has an issuer with a path, opaque subjects and the profile in the ID token. The OAuth
    2.0 plugin does not support OpenID and identifies users by `username`. The login page uses a JSON API.
    """

    slots = (OIDC, OAUTH2)
    ends_sessions = False
    wrong_secret = "unauthorized_client"
    SCHEMA = Path("/usr/share/dbconfig-common/data/glewlwyd/install/sqlite3")
    PREFIX = "/api/oidc"

    def __init__(self, portico: Portico, directory: Path) -> None:
        self.base = f"http://127.0.0.1:{free_port()}"
        self.issuer = self.base + self.PREFIX
        self.secret = secrets.token_urlsafe(24)
        self.passwords: dict[str, str] = {}
        self._write_files(directory)
        with (directory / "glewlwyd.log").open("wb") as log:
            self.process = subprocess.Popen(
                ["glewlwyd", "--config-file", str(directory / "glewlwyd.conf")],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                env={"PATH": os.environ["PATH"]},
            )
        self.admin = httpx.Client(base_url=self.base, trust_env=False, timeout=15)
        try:
            self._wait()
            self._configure(portico)
        except BaseException:
            self.stop()
            raise

    def _write_files(self, directory: Path) -> None:
        database = directory / "glewlwyd.db"
        with sqlite3.connect(database) as connection:
            connection.executescript(self.SCHEMA.read_text())
        connection.close()
        modules = "/usr/lib/glewlwyd"
        (directory / "glewlwyd.conf").write_text(f"""
            port = {urlsplit(self.base).port}
            bind_address = "127.0.0.1"
            external_url = "{self.base}"
            login_url = "login.html"
            api_prefix = "api"
            log_mode = "console"
            log_level = "INFO"
            cookie_secure = 0
            session_key = "GLEWLWYD2_SESSION_ID"
            session_expiration = 3600
            admin_scope = "g_admin"
            profile_scope = "g_profile"
            hash_algorithm = "SHA512"
            static_files_path = "/usr/share/glewlwyd/webapp"
            user_module_path = "{modules}/user"
            client_module_path = "{modules}/client"
            user_auth_scheme_module_path = "{modules}/scheme"
            plugin_module_path = "{modules}/plugin"
            database = {{ type = "sqlite3" path = "{database}" }};
        """)

    def _wait(self) -> None:
        deadline = time.monotonic() + 15
        while True:
            assert self.process.poll() is None, "glewlwyd exited at start: see its log"
            try:
                self.admin.get("/config")
                return
            except httpx.TransportError:
                assert time.monotonic() < deadline, "glewlwyd does not respond"
                time.sleep(0.05)

    def _call(self, method: str, path: str, body: dict) -> None:
        answer = self.admin.request(method, path, json=body)
        assert answer.status_code == 200, f"{method} {path}: {answer.status_code} {answer.text}"

    def _configure(self, portico: Portico) -> None:
        # The default password of a new installation.
        self._call("POST", "/api/auth/", {"username": "admin", "password": "password"})
        for rank, (module, name) in enumerate((("oidc", "oidc"), ("oauth2-glewlwyd", "oauth2"))):
            self._call("POST", "/api/mod/plugin/", {
                "module": module, "name": name, "display_name": name, "order_rank": rank, "readonly": False,
                "parameters": self._plugin(),
            })
        for name in ("profile", "email"):
            self._call("POST", "/api/scope", {"name": name, **self._scope(name)})
        self._call("PUT", "/api/scope/openid", self._scope("openid"))
        self._call("POST", "/api/client", {
            "client_id": "portico", "name": "Portico", "confidential": True, "enabled": True, "scope": [],
            "redirect_uri": [portico.redirect_uri(OIDC), portico.redirect_uri(OAUTH2)],
            "authorization_type": ["code"],
            "token_endpoint_auth_method": ["client_secret_basic"], "password": self.secret,
            "client_secret": self.secret,
        })

    @staticmethod
    def _scope(name: str) -> dict:
        return {
            "display_name": name,
            "description": name,
            "password_required": True,
            "password_max_age": 0,
            "scheme": {},
        }

    def _plugin(self) -> dict:
        key = ec.generate_private_key(ec.SECP256R1())
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return {
            "iss": self.issuer, "jwt-type": "ecdsa", "jwt-key-size": "256",
            "key": private.decode(), "cert": public.decode(), "subject-type": "public",
            "access-token-duration": 3600, "refresh-token-duration": 86400, "code-duration": 60,
            "refresh-token-rolling": False, "allow-non-oidc": False, "auth-type-code-enabled": True,
            "auth-type-token-enabled": False, "auth-type-implicit-enabled": False,
            "auth-type-id-token-enabled": True, "auth-type-none-enabled": False,
            "auth-type-password-enabled": False, "auth-type-client-enabled": False,
            "auth-type-device-enabled": False,
            "auth-type-refresh-enabled": False, "auth-type-code-revoke-replayed": True, "scope": [],
            "additional-parameters": [], "claims": [], "pkce-allowed": True,
            "pkce-method-plain-allowed": False,
            "name-claim": "on-demand", "name-claim-scope": ["profile"],
            "email-claim": "on-demand", "email-claim-scope": ["email"], "scope-claim": "no",
            "allowed-scope": ["openid", "profile", "email"], "introspection-revocation-allowed": False,
            "register-client-allowed": False, "session-management-allowed": False,
            "request-parameter-allow": False,
        }

    def settings(self) -> dict[str, str]:
        return {
            "SECURITY_OIDC_PROVIDERS": '["provider1"]',
            "SECURITY_OAUTH2_PROVIDERS": "provider1",
            "OIDC_PROVIDER1_CLIENT_ID": "portico",
            "OIDC_PROVIDER1_CLIENT_SECRET": self.secret,
            # The URL has no suffix: Portico accepts both forms.
            "OIDC_PROVIDER1_DISCOVERY_URL": self.issuer,
            "OAUTH2_PROVIDER1_CLIENT_ID": "portico",
            "OAUTH2_PROVIDER1_CLIENT_SECRET": self.secret,
            "OAUTH2_PROVIDER1_AUTHORIZATION_URL": f"{self.base}/api/oauth2/auth",
            "OAUTH2_PROVIDER1_TOKEN_URL": f"{self.base}/api/oauth2/token",
            "OAUTH2_PROVIDER1_USERINFO_URL": f"{self.base}/api/oauth2/profile",
            "OAUTH2_PROVIDER1_SCOPES": "profile",
            "OAUTH2_PROVIDER1_SUBJECT_CLAIM": "username",
        }

    def put(self, person: Person) -> None:
        known = person.sub in self.passwords
        password = self.passwords.setdefault(person.sub, secrets.token_urlsafe(12))
        user = {
            "name": person.name,
            "email": person.email,
            "enabled": True,
            "scope": ["openid", "profile", "email"],
        }
        if known:
            self._call("PUT", f"/api/user/{person.sub}", user)
        else:
            self._call("POST", "/api/user", {"username": person.sub, "password": password, **user})

    def sign_in(self, browser: Browser, page: Answer, person: Person, until: str) -> Answer:
        assert page.response.status_code == 200 and urlsplit(page.url).path.endswith("/login.html"), page.url
        back = parse_qs(urlsplit(page.url).query)["callback_url"][0]
        for method, path, body in (
            ("POST", "/api/auth/", {"username": person.sub, "password": self.passwords[person.sub]}),
            ("PUT", "/api/auth/grant/portico", {"scope": "openid profile email"}),
        ):
            answer = browser.request(method, self.base + path, json=body)
            assert answer.response.status_code == 200, f"{path}: {answer.response.status_code}"
        # The page's script adds this parameter when the user has finished.
        return browser.follow(browser.navigate(f"{back}&g_continue"), until)

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
