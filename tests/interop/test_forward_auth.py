"""Forward authentication with real proxies: Portico authorises requests and sends the identity."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Iterator

import httpx
import pytest
from browser import Browser
from conftest import Stage, storage_url
from login import Session, log_in
from portico import Portico, free_port
from providers import OIDC, PROVIDERS
from proxy import configured, fronting

IDENTITY = ("Account", "User", "Email", "Groups", "Roles")

# The paths of the application, with the required roles or groups.
PLACES = {"/editors/": "?roles=editor,admin", "/staff/": "?groups=ops,staff", "/": ""}

NGINX = """
    server {{
        listen 127.0.0.1:{port};
        server_name localhost;
        proxy_set_header Host $http_host;

        location /auth/ {{ proxy_pass {portico}; }}
        location = /.well-known/jwks.json {{ proxy_pass {portico}; }}
        location = /.well-known/openid-configuration {{ proxy_pass {portico}; }}
        {places}
        location @login {{ return 303 /auth/?return_to=$request_uri; }}
    }}
"""

NGINX_PLACE = """
        location = /_verify{path} {{
            internal;
            proxy_pass {portico}/auth/verify{needs};
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
        }}
        location {path} {{
            auth_request /_verify{path};
            {headers}
            proxy_pass {application};
            error_page 401 = @login;
        }}
"""

CADDY = """
{{
    admin off
    auto_https off
    storage file_system {directory}/caddy
}}
http://localhost:{port} {{
    bind 127.0.0.1
    handle /auth/* {{
        reverse_proxy {portico}
    }}
    handle /.well-known/* {{
        reverse_proxy {portico}
    }}
    {places}
}}
"""

CADDY_PLACE = """
    handle {path}* {{
        request_header -X_Auth_Request_*
        forward_auth {portico} {{
            uri /auth/verify{needs}
            copy_headers {headers}
            @nobody status 401
            handle_response @nobody {{
                redir * /auth/?return_to={{uri}} 303
            }}
        }}
        reverse_proxy {application}
    }}
"""


class Application(BaseHTTPRequestHandler):
    """Records the headers of all requests."""

    seen: list[dict[str, list[str]]] = []

    def do_GET(self) -> None:
        names = {name.lower() for name in self.headers}
        Application.seen.append({name: self.headers.get_all(name) for name in names})
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"the application")

    def log_message(self, *_: object) -> None:
        pass


def nginx(directory: Path, **upstream: object) -> list[str]:
    names = [name.lower() for name in IDENTITY]
    headers = " ".join(
        f"auth_request_set $auth_{name} $upstream_http_x_auth_request_{name}; "
        f"proxy_set_header X-Auth-Request-{name} $auth_{name};"
        for name in names
    )
    places = [
        NGINX_PLACE.format(path=path, needs=needs, headers=headers, **upstream)
        for path, needs in PLACES.items()
    ]
    return configured(directory, NGINX.format(places="".join(places), **upstream))


def caddy(directory: Path, **upstream: object) -> list[str]:
    headers = " ".join(f"X-Auth-Request-{name}" for name in IDENTITY)
    places = [
        CADDY_PLACE.format(path=path, needs=needs, headers=headers, **upstream)
        for path, needs in PLACES.items()
    ]
    configuration = directory / "Caddyfile"
    configuration.write_text(CADDY.format(directory=directory, places="".join(places), **upstream))
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(configuration)]


@pytest.fixture(params=[nginx, caddy], ids=["nginx", "caddy"])
def fronted(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    """Portico and an application behind a proxy, at the address of the proxy."""
    port = free_port()
    portico = Portico(tmp_path, storage_url("sqlite", tmp_path), PUBLIC_URL=f"http://localhost:{port}")
    portico.public_url = f"http://localhost:{port}"
    provider = PROVIDERS["oidc-provider"](portico, tmp_path)
    application = ThreadingHTTPServer(("127.0.0.1", 0), Application)
    threading.Thread(target=application.serve_forever, daemon=True).start()
    command = request.param(
        tmp_path,
        port=port,
        portico=portico.address,
        application=f"http://127.0.0.1:{application.server_port}",
    )
    try:
        portico.env.update({f"PORTICO_{name}": value for name, value in provider.settings().items()})
        portico.start()
        with fronting(command, tmp_path, portico.public_url):
            yield Stage(provider, portico)
    finally:
        application.shutdown()
        portico.kill()
        provider.stop()


def get(session: Session, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
    cookies = "; ".join(f"{c.name}={c.value}" for c in session.browser.cookies.values() if c.path == "/")
    url = session.stage.portico.public_url + path
    return httpx.get(url, headers={"Cookie": cookies, **(headers or {})}, trust_env=False)


def claims_to_be(user: str, between: str = "-") -> dict[str, str]:
    """Returns forged identity headers, with this separator in their names."""
    return {f"X-Auth-Request-{name}".replace("-", between): user for name in IDENTITY}


def test_nobody_passes_without_a_session(fronted: Stage) -> None:
    Application.seen.clear()
    for headers in ({}, claims_to_be("root"), claims_to_be("root", "_"), {"Authorization": "Bearer x"}):
        answer = httpx.get(f"{fronted.portico.public_url}/page", headers=headers, trust_env=False)
        assert answer.status_code == 303, answer.text
        assert answer.headers["location"].endswith("/auth/?return_to=/page")
    assert Application.seen == []
    page = httpx.get(f"{fronted.portico.public_url}/auth/?return_to=/page", trust_env=False)
    assert "return_to=%2Fpage" in page.text


def test_the_application_learns_who_it_is_and_nothing_that_a_client_invents(fronted: Stage) -> None:
    person = fronted.newcomer()
    session = log_in(fronted, OIDC, person)
    account = fronted.portico.accounts()[0]
    for between in ("-", "_"):
        answer = get(session, "/page", claims_to_be("root", between))
        assert (answer.status_code, answer.text) == (200, "the application")
        seen = Application.seen[-1]
        assert seen["x-auth-request-account"] == [account["id"]]
        assert seen["x-auth-request-user"] == [person.name.replace(" ", "%20")]
        assert seen["x-auth-request-email"] == [person.email]
        assert seen.get("x-auth-request-roles", [""]) == [""]
        assert seen.get("x-auth-request-groups", [""]) == [""]
        assert not [name for name in seen if "root" in seen[name] or name.startswith("x_auth")], seen


def test_a_role_is_required_where_the_proxy_says_so(fronted: Stage) -> None:
    session = log_in(fronted, OIDC, fronted.newcomer())
    assert get(session, "/editors/", claims_to_be("editor")).status_code == 403
    account = fronted.portico.accounts()[0]["id"]
    granted = fronted.portico.command("accounts", "grant", account, "editor")
    assert granted["roles"] == ["editor"]
    deadline = time.monotonic() + 6
    while get(session, "/editors/").status_code == 403 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert get(session, "/editors/").status_code == 200
    assert Application.seen[-1]["x-auth-request-roles"] == ["editor"]
    fronted.portico.command("sessions", "revoke", "--all")
    deadline = time.monotonic() + 6
    while get(session, "/page").status_code == 200 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert get(session, "/page").status_code == 303


def test_a_group_is_required_where_the_proxy_says_so(fronted: Stage) -> None:
    session = log_in(fronted, OIDC, fronted.newcomer())
    assert get(session, "/staff/", claims_to_be("staff")).status_code == 403
    person = replace(fronted.newcomer(), groups=("staff", "night shift"))
    fronted.provider.put(person)
    session = log_in(fronted, OIDC, person)
    assert get(session, "/staff/").status_code == 200
    assert Application.seen[-1]["x-auth-request-groups"] == ["staff,night%20shift"]
    assert get(session, "/editors/").status_code == 403


def test_a_browser_whose_token_has_expired_comes_straight_back(fronted: Stage) -> None:
    session = log_in(fronted, OIDC, fronted.newcomer(), Browser())
    del session.browser.cookies[
        next(key for key, c in session.browser.cookies.items() if c.name == "portico_access")
    ]
    answer = session.browser.navigate(f"{fronted.portico.public_url}/auth/?return_to=/page")
    assert answer.response.status_code == 303
    assert answer.location == f"{fronted.portico.public_url}/page"
    assert get(session, "/page").status_code == 200
