"""Debian's `lemonldap-ng`: a Perl portal in front of a user table."""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
import subprocess
import time
from pathlib import Path

import httpx
from browser import Answer, Browser
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from people import OIDC, Person
from portico import Portico, free_port

INI = """
[all]
[configuration]
type = File
dirName = {directory}/conf
localStorage = Cache::FileCache
localStorageOptions = {options}
[portal]
logger = Lemonldap::NG::Common::Logger::Std
userLogger = Lemonldap::NG::Common::Logger::Std
logLevel = warn
templateDir = /usr/share/lemonldap-ng/portal/templates
staticPrefix = /static
languages = en
portalSkin = bootstrap
[handler]
"""

OPTIONS = (
    "{{ 'namespace' => 'config', 'default_expires_in' => 600, "
    "'cache_root' => '{directory}/cache', 'cache_depth' => 0 }}"
)


class LemonLdap:
    """`aud` is a list, and the profile is at userinfo.

    The metadata lists the client authentication method `none`, which no client uses.
    """

    slots = (OIDC,)
    ends_sessions = True
    wrong_secret = "invalid_client"

    def __init__(self, portico: Portico, directory: Path) -> None:
        self.port, self.directory = free_port(), directory
        self.issuer = f"http://127.0.0.1:{self.port}"
        self.secret = secrets.token_urlsafe(24)
        for name in ("conf", "cache", "sessions/lock", "persistent/lock", "oidc/lock"):
            (directory / name).mkdir(parents=True, exist_ok=True)
        self.people = directory / "people.sqlite"
        with sqlite3.connect(self.people) as database:
            table = "people (login TEXT PRIMARY KEY, password TEXT, cn TEXT, mail TEXT)"
            database.execute(f"CREATE TABLE {table}")
        database.close()
        options = OPTIONS.format(directory=directory)
        (directory / "lemonldap-ng.ini").write_text(INI.format(directory=directory, options=options))
        (directory / "conf" / "lmConf-1.json").write_text(json.dumps(self._configuration(portico)))
        with (directory / "lemonldap.log").open("wb") as log:
            self.process = subprocess.Popen(
                ["plackup", "--env", "deployment", "--host", "127.0.0.1", "--port", str(self.port),
                 "/usr/share/lemonldap-ng/portal/htdocs/index.psgi"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                env={"PATH": os.environ["PATH"], "LLNG_DEFAULTCONFFILE": str(directory / "lemonldap-ng.ini")},
            )
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise

    def _wait(self) -> None:
        deadline = time.monotonic() + 30
        while True:
            assert self.process.poll() is None, (self.directory / "lemonldap.log").read_text()[-2000:]
            try:
                metadata = f"{self.issuer}/.well-known/openid-configuration"
                answer = httpx.get(metadata, trust_env=False, timeout=15)
                log = (self.directory / "lemonldap.log").read_text()
                assert answer.status_code == 200, f"{answer.status_code}: {log[:2000]}"
                return
            except httpx.TransportError:
                assert time.monotonic() < deadline, "LemonLDAP does not respond"
                time.sleep(0.1)

    def _configuration(self, portico: Portico) -> dict:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        storage = "Apache::Session::File"

        def files(name: str) -> dict:
            return {"Directory": f"{self.directory}/{name}", "LockDirectory": f"{self.directory}/{name}/lock"}

        return {
            "cfgNum": 1, "cfgDate": int(time.time()), "cfgVersion": "2.16.1", "portal": f"{self.issuer}/",
            "domain": "127.0.0.1", "cookieName": "lemonldap",
            "securedCookie": 0, "key": secrets.token_hex(16), "whatToTrace": "uid", "timeout": 7200,
            "requireToken": 0,
            "globalStorage": storage, "globalStorageOptions": files("sessions"),
            "persistentStorage": storage, "persistentStorageOptions": files("persistent"),
            "oidcStorage": storage, "oidcStorageOptions": files("oidc"),
            "localSessionStorage": "Cache::FileCache",
            "localSessionStorageOptions": {
                "namespace": "s", "default_expires_in": 600, "cache_root": f"{self.directory}/cache",
                "cache_depth": 0,
            },
            "authentication": "DBI", "userDB": "Same", "passwordDB": "Null", "registerDB": "Null",
            "dbiAuthChain": f"dbi:SQLite:dbname={self.people}", "dbiAuthUser": "", "dbiAuthPassword": "",
            "dbiAuthTable": "people", "dbiAuthLoginCol": "login", "dbiAuthPasswordCol": "password",
            "exportedVars": {"uid": "login", "cn": "cn", "mail": "mail"},
            "locationRules": {}, "exportedHeaders": {}, "groups": {}, "macros": {},
            "issuerDBOpenIDConnectActivation": 1, "issuerDBOpenIDConnectPath": "^/oauth2/",
            "issuerDBOpenIDConnectRule": "1",
            "oidcServicePrivateKeySig": private.decode(), "oidcServicePublicKeySig": public.decode(),
            "oidcServiceKeyIdSig": "sig-1",
            "oidcServiceAllowAuthorizationCodeFlow": 1, "oidcServiceMetaDataAuthnContext": {"loa-1": 1},
            "oidcRPMetaDataOptions": {"portico": self._client(portico)},
            "oidcRPMetaDataExportedVars": {"portico": {"name": "cn", "email": "mail"}},
            "oidcRPMetaDataOptionsExtraClaims": {}, "oidcRPMetaDataMacros": {}, "oidcRPMetaDataScopeRules": {},
        }

    def _client(self, portico: Portico) -> dict:
        return {
            "oidcRPMetaDataOptionsClientID": "portico", "oidcRPMetaDataOptionsClientSecret": self.secret,
            "oidcRPMetaDataOptionsRedirectUris": portico.redirect_uri(OIDC),
            "oidcRPMetaDataOptionsIDTokenSignAlg": "RS256",
            "oidcRPMetaDataOptionsBypassConsent": 1, "oidcRPMetaDataOptionsPublic": 0,
            "oidcRPMetaDataOptionsRequirePKCE": 1,
            "oidcRPMetaDataOptionsUserIDAttr": "uid", "oidcRPMetaDataOptionsLogoutBypassConfirm": 1,
            "oidcRPMetaDataOptionsPostLogoutRedirectUris": f"{portico.public_url}/",
        }

    def settings(self) -> dict[str, str]:
        return {
            "SECURITY_OIDC_PROVIDERS": "provider1",
            "OIDC_PROVIDER1_CLIENT_ID": "portico",
            "OIDC_PROVIDER1_CLIENT_SECRET": self.secret,
            "OIDC_PROVIDER1_DISCOVERY_URL": self.issuer,
            "SECURITY_POST_LOGOUT_REDIRECT_URL": "/",
        }

    def put(self, person: Person) -> None:
        with sqlite3.connect(self.people, timeout=20) as database:
            row = (person.sub, "any will do", person.name, person.email)
            database.execute("INSERT OR REPLACE INTO people VALUES (?, ?, ?, ?)", row)
        database.close()

    def sign_in(self, browser: Browser, page: Answer, person: Person, until: str) -> Answer:
        assert page.response.status_code == 200, page.response.text[:2000]
        return browser.follow(browser.submit(page, user=person.sub, password="any will do"), until)

    def sign_out(self, browser: Browser, page: Answer, until: str) -> Answer:
        return page

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
