"""One question to an edge over HTTP, and what its answer means for who asked."""

from __future__ import annotations

import json

import msgspec
import requests

from app.errors import ConfigError
from client.answer import ANSWERED, MATCH, NOTHING, REFUSED, UNANSWERED, Asked, AskError, plain
from client.wanted import Wanted


class _Problem(msgspec.Struct):
    status: int
    code: str
    detail: str
    title: str = ""
    field: str | None = None


def ask(one: Wanted) -> tuple[str, Asked]:
    """Ask; return the body as it came, and read. No proxy and no .netrc is used.

    Raises:
        AskError: there is no such answer; its status is 2 or 3.
    """
    session = requests.Session()
    session.trust_env = False  # .netrc would replace the key
    session.headers["Content-Type"] = "application/json"
    if one.key:
        session.headers["Authorization"] = f"Bearer {one.key}"
    try:
        response = session.post(
            f"{one.url}/v1/search",
            data=json.dumps(one.body),
            timeout=one.timeout,
            verify=str(one.ca) if one.ca else True,
            allow_redirects=False,  # the key goes where it was meant for
        )
    except (requests.RequestException, OSError, UnicodeError) as error:
        raise AskError(_unreached(one, error), UNANSWERED) from error
    body = response.content.decode("utf-8", "replace")
    if response.status_code != ANSWERED:
        raise _refused(one, response, body)
    try:
        return body, Asked.read(body)
    except ConfigError as error:
        raise AskError(f"{one.url} is no edge of askfleet: {error}", UNANSWERED) from error


def outcome(answer: Asked) -> int:
    """The exit status: 0 there is a match, 1 nothing fits, 3 nobody knows, without its shards."""
    if answer.query.match is not None:
        return MATCH
    return UNANSWERED if answer.query.partial else NOTHING


def _unreached(one: Wanted, error: BaseException) -> str:
    """Why nobody was reached, by the innermost of the errors."""
    if isinstance(error, requests.Timeout):
        return f"{one.url} did not answer within {one.timeout:g} s"
    inner: BaseException = error
    while deeper := inner.__cause__ or inner.__context__:
        inner = deeper
    why = plain(getattr(inner, "verify_message", "") or getattr(inner, "strerror", "") or inner)
    if isinstance(error, requests.exceptions.SSLError):
        if "WRONG_VERSION_NUMBER" in str(inner).upper().replace(" ", "_"):
            return f"{one.url} does not speak TLS; try http://"
        return f"{one.url}: its certificate is not trusted: {why}; --ca names the CA that made it"
    if isinstance(inner, ConnectionRefusedError):
        return f"{one.url} refuses connections: nothing listens there; --url names an edge"
    return f"{one.url} cannot be reached: {why}"


def _refused(one: Wanted, response: requests.Response, body: str) -> AskError:
    status = response.status_code
    if response.is_redirect:
        to = plain(response.headers["Location"].removesuffix("/v1/search"))
        return AskError(f"{one.url} sends on to another address; ask that one: --url {to}")
    try:
        told = msgspec.json.decode(body, type=_Problem)
    except msgspec.DecodeError:
        hint = "; is it https://?" if status == requests.codes.bad_request else ""
        return AskError(f"{one.url} answered {status} and is no edge of askfleet{hint}", UNANSWERED)
    # The title says what happened where a detail has the request's id alone.
    said = plain(told.detail if told.field else f"{told.title}: {told.detail}")
    if status == requests.codes.unauthorized:
        said += "; --key-file names a file with your key"
    elif told.field and told.field not in told.detail:
        said = f"{plain(told.field)}: {said}"
    wait = plain(response.headers.get("Retry-After", ""))
    said += f"; try again in {wait} s" if wait else ""
    ours = status < requests.codes.server_error and status not in (401, 403, 404, 408, 429)
    text = f"{said} ({status} {plain(told.code)})"
    return AskError(text, REFUSED if ours else UNANSWERED, body)
