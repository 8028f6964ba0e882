"""Canaille (PyPI: canaille) on its own loopback port, with its own database in the working directory.

When ready, the server prints one JSON line {"issuer"}. Every line on stdin creates or updates a user,
{"sub", "name", "email"}. A line {"without_audience"} names a client whose later tokens have no `aud`; clients
created by Canaille's command line get such tokens. The server acknowledges every line with a line. It ends
when stdin is closed.
"""

import json
import secrets
import sys
import threading
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from canaille import create_app
from canaille.app import models
from canaille.app.installation import install
from canaille.backends import Backend
from joserfc.jwk import RSAKey


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Handler(WSGIRequestHandler):
    def log_message(self, *words: object) -> None:
        """Logs nothing, because request URLs contain codes."""


def answer(value: dict) -> None:
    print(json.dumps(value), flush=True)


port = int(sys.argv[1])
key = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, private=True, auto_kid=True)
app = create_app(
    {
        "SECRET_KEY": secrets.token_hex(32),
        "SERVER_NAME": f"127.0.0.1:{port}",
        "PREFERRED_URL_SCHEME": "http",
        "CANAILLE": {
            "DATABASE": "sql",
            "SMTP": None,
            "JAVASCRIPT": False,
            "HTMX": False,
            "CAPTCHA_ENABLED": False,
        },
        "CANAILLE_SQL": {"DATABASE_URI": "sqlite:///canaille.sqlite"},
        "CANAILLE_OIDC": {
            "DYNAMIC_CLIENT_REGISTRATION_OPEN": True,
            "ACTIVE_JWKS": [key.as_dict(private=True)],
        },
    }
)
with app.app_context():
    install(app)
server = make_server("127.0.0.1", port, app, Server, Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
answer({"issuer": f"http://127.0.0.1:{port}"})

for line in sys.stdin:
    person = json.loads(line)
    with app.app_context(), Backend.instance.session():
        if name := person.get("without_audience"):
            client = Backend.instance.get(models.Client, client_id=name)
            client.audience = []
            Backend.instance.save(client)
            answer(person)
            continue
        known = Backend.instance.get(models.User, user_name=person["sub"])
        user = known or models.User(user_name=person["sub"], password="any will do")
        user.formatted_name, user.family_name, user.emails = person["name"], "Example", [person["email"]]
        Backend.instance.save(user)
    answer({"sub": person["sub"]})
