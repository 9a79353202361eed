"""
Authorization for one registry: Basic, or Bearer tokens by scope, renewed before they end.

A registry says once what it wants, by a challenge; from then on requests carry it from the start. Which challenge
may be answered, and where a password may go, is decided in `challenge`; who to be, in `credentials`. There is one
way to a token, for the first request as for the last one. Never sends a password or a token but where told.
"""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec
from msgspec.structs import replace

from transfer.auth.challenge import Challenge, Realm, choose, judge_realm, parse_challenges, refused, token_url
from transfer.auth.credentials import Login, Logins
from transfer.concurrency.limiters import SingleFlight
from transfer.errors import Unauthorized
from transfer.http.bodies import RequestBody
from transfer.http.messages import HttpRequest, HttpResponse
from transfer.http.oci_errors import error_of
from transfer.http.settings import SYSTEM_TLS, Tls
from transfer.http.transport import Transport

# The specification's own minimum, and what a token without `expires_in` lives.
_SHORTEST_LIFE = 60.0
_LONGEST_LIFE = 86_400.0
# Before its end, so that it does not run out on its way; less for short lives.
_MARGIN = 30.0
_MARGIN_SHARE = 0.2
# Before a password's end (ECR's live 12 hours).
_PASSWORD_MARGIN = 600.0
_TOKEN = re.compile(r"[\x21-\x7e]{1,16384}")
# The actions of who writes; those who write read as well.
PUSH = "pull,push"


class TokenScope(msgspec.Struct, frozen=True):
    """
    The scope of a token: actions in a repository, and pull from another one where a blob is mounted.

    Without a repository it is to be let in at all, or to list the `catalog` of repositories.

    Attributes:
        before_push: it is a pull, and a push into the repository may follow: one token is asked for that serves both,
            or for the pull alone where that is refused.
    """

    repository: str
    actions: str = "pull"
    also_from: str | None = None
    before_push: bool = False

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes to request a token for."""
        if not self.repository:
            return ("registry:catalog:*",) if self.actions == "catalog" else ()
        own = (f"repository:{self.repository}:{PUSH if self.before_push else self.actions}",)
        return (*own, f"repository:{self.also_from}:pull") if self.also_from else own

    @property
    def alone(self) -> "TokenScope":
        """The scope of the request itself, without what may follow it."""
        return replace(self, before_push=False)

    @property
    def served_by(self) -> tuple[tuple[str, ...], ...]:
        """The scopes of the tokens that serve, the best one first: who may push may pull."""
        if not self.repository or self.actions != "pull":
            return (self.scopes,)
        return tuple(dict.fromkeys((self.scopes, replace(self, before_push=True).scopes)))


@dataclass(frozen=True, slots=True)
class _Token:
    header: str = field(repr=False)
    renew_at: float


class Authenticator:
    """
    Authorizes the requests to one registry.

    Args:
        registry: its name, by which logins are found.
        base: its address: `https://registry.example:5000`; the only place the headers made here are for.
        logins: who to be.
        transport: for token servers.
        tls: of the registry; a token server elsewhere does not see its client certificate.
        token_hosts: hosts besides the registry's own site that may be shown its credentials.
    """

    def __init__(  # noqa: PLR0913 - each is a fact of the registry
        self,
        registry: str,
        base: str,
        *,
        logins: Logins,
        transport: Transport,
        tls: Tls = SYSTEM_TLS,
        token_hosts: frozenset[str] = frozenset(),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._registry = registry
        self._base = base
        self._host = (urlsplit(base).hostname or "").lower()
        self._logins = logins
        self._transport = transport
        self._tls = tls
        self._token_hosts = token_hosts
        self._clock = clock
        self._challenge: Challenge | None = None
        self._known_logins: dict[str, Login | None] = {}
        self._wanted: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._tokens: dict[tuple[str, ...], _Token] = {}
        # Repositories for which a token to push was refused: their pulls ask for no more than they need.
        self._pull_only: set[str] = set()
        self._renewing: SingleFlight[None] = SingleFlight()

    async def header(self, access: TokenScope, *, what: str) -> str | None:
        """
        Return the Authorization header for a request; None before the registry has asked for any.

        Raises:
            Unauthorized: the token server refuses, or is one that must not be asked.
            CredentialsMissing, InvalidConfig, ConnectionFailed: as the logins and the transport do.
        """
        if self._challenge is None:
            return None
        if self._challenge.scheme == "basic":
            login = await self._login(access)
            return login.basic if login else None
        while True:
            asked = self._asked(access)
            now = self._clock()
            for scopes in asked.served_by:
                token = self._tokens.get(scopes)
                if token is not None and now < token.renew_at:
                    return token.header
            await self._renewing.run(asked.scopes, partial(self._renew, asked, what), None)

    async def challenged(self, headers: Mapping[str, str], access: TokenScope, sent: str | None, *, what: str) -> bool:
        """
        Take a 401 in; whether the request may be sent again, with another header than it was.

        Raises:
            Unauthorized: the challenge cannot or must not be answered.
        """
        self._challenge = choose(parse_challenges(headers.get("www-authenticate", "")), what=what)
        if self._challenge.scheme == "bearer":
            self._note_scope(access)
            self._note_scope(access.alone)
            self._forget_token(access, sent)
        elif sent is not None:
            self.expired(access)
        header = await self.header(access, what=what)
        if header is None:
            raise refused(
                what,
                f"{self._registry} requires credentials, and none were found; "
                f"run 'docker login {self._registry}', or give --creds USER:PASSWORD",
            )
        return header != sent

    def shown(self, repository: str) -> Login | None:
        """Return the credentials that were sent for a repository; None where none were."""
        return self._known_logins.get(repository)

    def expired(self, access: TokenScope) -> None:
        """The password that was sent has run out: look for a new one."""
        self._logins.forget(self._registry)
        self._known_logins.pop(access.repository, None)

    def _asked(self, access: TokenScope) -> TokenScope:
        return access.alone if access.repository in self._pull_only else access

    def _forget_token(self, access: TokenScope, sent: str | None) -> None:
        for scopes in self._asked(access).served_by:
            known = self._tokens.get(scopes)
            if known is not None and known.header == sent:
                del self._tokens[scopes]

    def _note_scope(self, access: TokenScope) -> None:
        """Remember what the registry itself asks for, where that is more than would be asked for anyway."""
        asked = tuple((self._challenge.parameters.get("scope", "") if self._challenge else "").split())
        more = tuple(scope for scope in asked if not any(_covers(own, scope) for own in access.scopes))
        # First, since some token servers look at the first scope alone.
        self._wanted[access.scopes] = (*more, *access.scopes)

    async def _login(self, access: TokenScope) -> Login | None:
        """Found once for a repository: helpers take their time, and are asked again when refused or near the end."""
        key = access.repository
        login = self._known_logins.get(key)
        if key not in self._known_logins or _is_ending(login, self._clock()):
            login = self._known_logins[key] = await self._logins.find(self._registry, access.repository)
        return login

    async def _renew(self, access: TokenScope, what: str) -> None:
        challenge = self._challenge
        if challenge is None:
            return
        what = f"{what}: token"
        realm = judge_realm(challenge.parameters.get("realm", ""), self._base, what=what, token_hosts=self._token_hosts)
        login = await self._login(access) if realm.trusted else None
        scopes = self._wanted.get(access.scopes, access.scopes)
        request = self._request(realm, challenge.parameters.get("service", ""), scopes, login)
        asked_at = self._clock()
        reply = await self._transport.send(request, what=what)
        if reply.status != 200:
            refusal = _refusal(what, reply, realm)
            if access.before_push and reply.status >= 400 and isinstance(refusal, Unauthorized):
                self._pull_only.add(access.repository)
                return
            raise refusal
        value, life = _read_token(what, reply, realm)
        renew_at = asked_at + life - min(_MARGIN, life * _MARGIN_SHARE)
        self._tokens[access.scopes] = _Token(f"Bearer {value}", renew_at)

    def _request(self, realm: Realm, service: str, scopes: tuple[str, ...], login: Login | None) -> HttpRequest:
        own = realm.host == self._host
        place = HttpRequest(
            "GET",
            "",
            {},
            tls=self._tls if own else self._tls.anonymous(),
            # A registry out there must not have a client ask inside; one inside may have its tokens inside too.
            public_only=not own and realm.host not in self._token_hosts and self._transport.is_public(self._host),
        )
        if login is not None and login.identity_token:
            form = {
                "grant_type": "refresh_token",
                "refresh_token": login.identity_token,
                "client_id": "layer-transfer",
                "service": service,
                "scope": " ".join(scopes),
            }
            body = RequestBody.of(urlencode(form).encode())
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            return replace(place, method="POST", url=realm.url, headers=headers, body=body)
        url = token_url(realm, service, scopes, login.username if login else None)
        return replace(place, url=url, headers={"Authorization": login.basic} if login else {})


def _covers(own: str, asked: str) -> bool:
    """Return whether a scope already holds all actions of another one."""
    mine, _, my_actions = own.rpartition(":")
    theirs, _, their_actions = asked.rpartition(":")
    return mine == theirs and set(their_actions.split(",")) <= set(my_actions.split(","))


def _is_ending(login: Login | None, now: float) -> bool:
    return login is not None and login.expires_at is not None and login.expires_at - now < _PASSWORD_MARGIN


def _refusal(what: str, reply: HttpResponse, realm: Realm) -> Exception:
    if 300 <= reply.status < 400:
        return refused(what, f"{realm.host} sends clients on to another place for a token; not done")
    error = error_of(f"{what} of {realm.host}", reply)
    if isinstance(error, Unauthorized) and not realm.trusted:
        return refused(
            what,
            f"{realm.host} gives none to an unknown client, and it is not of the registry's own site, so it was shown "
            "no credentials; name it as a token host (--token-host) if it is to have them",
        )
    return error


def _read_token(what: str, reply: HttpResponse, realm: Realm) -> tuple[str, float]:
    """Return the token and the seconds that it lives."""
    try:
        members: Any = msgspec.json.decode(reply.body)
    except (msgspec.DecodeError, RecursionError):
        members = None
    members = members if isinstance(members, dict) else {}
    value = members.get("token") or members.get("access_token")
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise refused(what, f"{realm.host} answered without a token that can be used")
    life = members.get("expires_in")
    if isinstance(life, bool) or not isinstance(life, int | float) or not life > 0:
        life = _SHORTEST_LIFE
    return value, min(max(float(life), _SHORTEST_LIFE), _LONGEST_LIFE)
