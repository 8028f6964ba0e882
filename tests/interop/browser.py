"""A minimal HTTP browser: cookies, single redirects, and HTML forms."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from html.parser import HTMLParser
from urllib.parse import urlencode, urljoin, urlsplit

import httpx

NAVIGATION = {
    "Accept": "text/html,application/xhtml+xml",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
}


@dataclass
class Cookie:
    """A cookie with the attributes that the server set."""

    host: str
    name: str
    value: str
    path: str
    attributes: dict[str, str]

    def suits(self, host: str, path: str) -> bool:
        under = path == self.path or path.startswith(self.path.rstrip("/") + "/")
        return host == self.host and under


class Form(HTMLParser):
    """The first form of a page, with its action and hidden fields."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form" and self.action is None:
            self.action = given.get("action") or ""
        if tag == "input" and given.get("type") == "hidden" and given.get("name"):
            self.fields[given["name"]] = given.get("value") or ""


@dataclass
class Answer:
    """A response with the URL of its request."""

    url: str
    response: httpx.Response

    @property
    def location(self) -> str | None:
        """The absolute URL of a redirect, or None for other responses."""
        if self.response.status_code not in (301, 302, 303, 307, 308):
            return None
        return urljoin(self.url, self.response.headers["location"])


@dataclass
class Browser:
    """Stores cookies per host, not per port, like real browsers. Records every visited URL."""

    cookies: dict[tuple[str, str, str], Cookie] = field(default_factory=dict)
    visited: list[str] = field(default_factory=list)

    def twin(self) -> Browser:
        """Returns a copy of this browser with the same cookies."""
        return Browser(cookies=copy.deepcopy(self.cookies))

    def cookie(self, name: str) -> Cookie | None:
        return next((cookie for cookie in self.cookies.values() if cookie.name == name), None)

    def request(self, method: str, url: str, headers: dict[str, str] | None = None, **more: object) -> Answer:
        parts = urlsplit(url)
        host, path = parts.hostname or "", parts.path or "/"
        sent = [cookie for cookie in self.cookies.values() if cookie.suits(host, path)]
        headers = dict(headers or {})
        if sent:
            headers["Cookie"] = "; ".join(f"{cookie.name}={cookie.value}" for cookie in sent)
        self.visited.append(url)
        response = httpx.request(method, url, headers=headers, timeout=15, trust_env=False, **more)
        for line in response.headers.get_list("set-cookie"):
            self._keep(host, path, line)
        return Answer(url, response)

    def navigate(self, url: str) -> Answer:
        return self.request("GET", url, NAVIGATION)

    def submit(self, page: Answer, **fields: str) -> Answer:
        """Submits the form of the page with these fields."""
        form = Form(page.response.text)
        assert form.action is not None, f"no form at {page.url}: {page.response.text[:500]}"
        body = urlencode({**form.fields, **fields})
        headers = {**NAVIGATION, "Content-Type": "application/x-www-form-urlencoded"}
        return self.request("POST", urljoin(page.url, form.action), headers, content=body)

    def follow(self, answer: Answer, until: str | None = None) -> Answer:
        """Follows redirects until a page, or until a redirect to a URL with the prefix `until`."""
        for _ in range(20):
            where = answer.location
            if where is None or (until is not None and where.startswith(until)):
                return answer
            answer = self.navigate(where)
        raise AssertionError(f"redirect loop: {self.visited[-5:]}")

    def _keep(self, host: str, path: str, line: str) -> None:
        pair, *rest = [part.strip() for part in line.split(";")]
        name, _, value = pair.partition("=")
        attributes = {
            key.strip().lower(): val.strip() for key, _, val in (part.partition("=") for part in rest)
        }
        where = attributes.get("path") or path.rsplit("/", 1)[0] or "/"
        key = (host, name, where)
        if _expired(attributes):
            self.cookies.pop(key, None)
        else:
            self.cookies[key] = Cookie(host, name, value, where, attributes)


def _expired(attributes: dict[str, str]) -> bool:
    if "max-age" in attributes:
        return int(attributes["max-age"]) <= 0
    if "expires" in attributes:
        return parsedate_to_datetime(attributes["expires"].replace("-", " ")).timestamp() <= time.time()
    return False
