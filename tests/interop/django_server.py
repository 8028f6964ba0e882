"""django-oauth-toolkit (PyPI) on its own loopback port, with its own database in the working directory.

argv: the port, and the JSON list of clients. When ready, the server prints one JSON line {"issuer"}. Every
line on stdin creates or updates a user, {"sub", "name", "email"}; the server acknowledges it with a line. It
ends when stdin is closed.
"""

import json
import secrets
import sys
import threading
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import django
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings

port, clients = int(sys.argv[1]), json.loads(sys.argv[2])
base = f"http://127.0.0.1:{port}"
private_key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)
settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    SECRET_KEY=secrets.token_hex(32),
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": "django.sqlite",
            "OPTIONS": {"timeout": 20},
        }
    },
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "oauth2_provider",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    LOGIN_URL="/login",
    OAUTH2_PROVIDER={
        "OIDC_ENABLED": True,
        "OIDC_ISS_ENDPOINT": f"{base}/o",
        "OIDC_RSA_PRIVATE_KEY": private_key.decode(),
        "OIDC_RP_INITIATED_LOGOUT_ENABLED": True,
        "OIDC_RP_INITIATED_LOGOUT_ALWAYS_PROMPT": False,
        "SCOPES": {"openid": "who", "profile": "name", "email": "address"},
        "PKCE_REQUIRED": True,
        "OAUTH2_VALIDATOR_CLASS": f"{__name__}.Validator",
    },
)
django.setup()

from django.contrib.auth import authenticate, login as sign_in  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import HttpResponse, HttpResponseRedirect  # noqa: E402
from django.urls import include, path  # noqa: E402
from django.views.decorators.csrf import csrf_exempt  # noqa: E402
from oauth2_provider.models import get_application_model  # noqa: E402
from oauth2_provider.oauth2_validators import OAuth2Validator  # noqa: E402


class Validator(OAuth2Validator):
    def get_additional_claims(self, request: object) -> dict:
        user = request.user
        return {"sub": user.username, "name": user.first_name, "email": user.email, "email_verified": True}


@csrf_exempt
def login(request: object) -> HttpResponse:
    if request.method == "POST":
        user = authenticate(request, username=request.POST["username"], password=request.POST["password"])
        if user is not None:
            sign_in(request, user)
            return HttpResponseRedirect(request.POST["next"])
    target = request.GET.get("next", "/").replace("&", "&amp;").replace('"', "&quot;")
    return HttpResponse(
        f'<form method="post" action="/login"><input type="hidden" name="next" value="{target}"></form>'
    )


urlpatterns = [path("login", login), path("o/", include("oauth2_provider.urls", namespace="oauth2_provider"))]


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Handler(WSGIRequestHandler):
    def log_message(self, *words: object) -> None:
        """Logs nothing, because request URLs contain codes."""


def answer(value: dict) -> None:
    print(json.dumps(value), flush=True)


call_command("migrate", verbosity=0)
for client in clients:
    get_application_model().objects.create(
        name=client["client_id"], client_id=client["client_id"], client_secret=client["client_secret"],
        skip_authorization=True,
        client_type="confidential", authorization_grant_type="authorization-code", algorithm="RS256",
        redirect_uris=client["redirect_uri"], post_logout_redirect_uris=client["post_logout_redirect_uri"],
    )
server = make_server("127.0.0.1", port, get_wsgi_application(), Server, Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
answer({"issuer": f"{base}/o"})

for line in sys.stdin:
    person = json.loads(line)
    user, _ = User.objects.get_or_create(username=person["sub"])
    user.first_name, user.email = person["name"], person["email"]
    user.set_password("any will do")
    user.save()
    answer({"sub": person["sub"]})
