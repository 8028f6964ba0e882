"""Test users, slots, and the interface of all identity providers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from browser import Answer, Browser

OIDC, OIDC_PUBLIC, OAUTH2 = "oidc/provider1", "oidc/provider2", "oauth2/provider1"


@dataclass(frozen=True)
class Person:
    """A user at a provider."""

    sub: str
    name: str
    email: str
    email_verified: bool = True
    groups: tuple[str, ...] = ()


ALICE = Person("alice", "Alice Example", "alice@example.org")


class Provider(Protocol):
    """The interface of all providers."""

    slots: tuple[str, ...]
    """The slots that every user can log in with."""

    ends_sessions: bool
    """Whether the provider has an end-session endpoint."""

    wrong_secret: str
    """The error code of the token endpoint for a wrong client secret."""

    def settings(self) -> dict[str, str]:
        """Returns the settings of Portico's slots, without the prefix."""

    def put(self, person: Person) -> None:
        """Creates or updates a user."""

    def sign_in(self, browser: Browser, page: Answer, person: Person, until: str) -> Answer:
        """Signs in on the provider's pages. Returns the redirect to `until`."""

    def sign_out(self, browser: Browser, page: Answer, until: str) -> Answer:
        """Signs out on the provider's pages. Returns the redirect to `until`."""

    def stop(self) -> None:
        """Stops the provider."""
