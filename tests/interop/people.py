"""Who signs in, through which slots, and what the tests need of any identity provider."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from browser import Answer, Browser

OIDC, OIDC_PUBLIC, OAUTH2 = "oidc/provider1", "oidc/provider2", "oauth2/provider1"


@dataclass(frozen=True)
class Person:
    """Someone who can sign in at a provider."""

    sub: str
    name: str
    email: str
    email_verified: bool = True
    groups: tuple[str, ...] = ()


ALICE = Person("alice", "Alice Example", "alice@example.org")


class Provider(Protocol):
    """What the tests need of any provider."""

    slots: tuple[str, ...]
    """Those that any person can log in with."""

    ends_sessions: bool
    """It has an end-session endpoint."""

    wrong_secret: str
    """What its token endpoint says to a wrong client secret."""

    def settings(self) -> dict[str, str]:
        """The settings of Portico's slots, without the prefix."""

    def put(self, person: Person) -> None:
        """Lets this person sign in, from now on under this name."""

    def sign_in(self, browser: Browser, page: Answer, person: Person, until: str) -> Answer:
        """Does what a person does at the provider's pages, up to the redirect that leads back."""

    def sign_out(self, browser: Browser, page: Answer, until: str) -> Answer:
        """Does what a person does at the provider's pages of farewell, up to the redirect that leads back."""

    def stop(self) -> None:
        """Ends it."""
