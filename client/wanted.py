"""What is asked of whom: the command line and the environment, judged before anybody is asked."""

from __future__ import annotations

import argparse
import json
import re
import ssl
import stat
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from client.answer import AskError

URL = "http://127.0.0.1:8080"
KNOWN = ("ASKFLEET_URL", "ASKFLEET_KEY_FILE")
COMPARISONS = {">=": "gte", ">": "gt", "<=": "lte", "<": "lt"}
_PAIR = re.compile(r"(?P<field>[^=<>]+?)\s*(?P<sign>>=|<=|=|>|<)\s*(?P<value>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A question and whom to ask; ``key`` is the API key, ``ca`` a file, ``timeout`` seconds."""

    url: str
    body: Mapping[str, Any]
    key: str | None = None
    ca: Path | None = None
    timeout: float = 10.0


def wanted(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Wanted:
    """Put together what is asked, from the command line and the environment.

    Raises:
        AskError: something of it is wrong; its status is 2.
    """
    for name in environ:
        ours = name.startswith("ASKFLEET_") and not name.startswith("ASKFLEET_LAB_")
        if ours and name not in KNOWN:
            raise AskError(f"unknown environment variable {name}; known: {', '.join(KNOWN)}")
    url = (arguments.url or environ.get("ASKFLEET_URL") or URL).rstrip("/")
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        valid = False
    if not valid or parts.query or parts.fragment:
        raise AskError(f"{url!r} is no http:// or https:// URL of an edge")
    if "@" in parts.netloc:
        raise AskError("a URL with a name or a password in it: a key is given by --key-file")
    body: dict[str, Any] = {"queries": [_question(arguments.question)], "k": arguments.k}
    if arguments.filter:
        body["filter"] = filters(arguments.filter)
    if arguments.min_confidence is not None:
        body["min_confidence"] = arguments.min_confidence
    if not 0 < arguments.timeout < 1e6:
        raise AskError("--timeout is no number of seconds above 0")
    file = arguments.key_file or environ.get("ASKFLEET_KEY_FILE")
    key = _key(Path(file)) if file else None
    if arguments.ca:
        try:
            ssl.create_default_context(cafile=arguments.ca)
        except OSError as error:  # ssl.SSLError is one
            raise AskError(f"--ca: {arguments.ca} has no certificate") from error
    return Wanted(url, body, key, arguments.ca, arguments.timeout)


def _question(given: str) -> str:
    if given != "-":
        return given
    try:
        return sys.stdin.read()
    except UnicodeDecodeError as error:
        raise AskError("the question on standard input is not UTF-8") from error


def filters(given: Iterable[str]) -> dict[str, Any]:
    """Make a filter of what is typed: JSON, or ``field=value``, ``field=a,b``, ``field>=number``.

    A value is a number, true or false where it reads as one; in double quotes it is a string.

    Raises:
        AskError: it is neither; its status is 2.
    """
    found: dict[str, Any] = {}
    for text in given:
        if text.lstrip().startswith("{"):
            try:
                found.update(json.loads(text))
            except ValueError as error:
                raise AskError(f"--filter: {text!r} is no JSON: {error}") from error
        elif pair := _PAIR.fullmatch(text):
            field, sign, value = pair["field"].strip(), pair["sign"], pair["value"]
            if sign == "=":
                values = [_value(one) for one in value.split(",")]
                found[field] = values if len(values) > 1 else values[0]
            elif isinstance(found.setdefault(field, {}), dict):
                found[field][COMPARISONS[sign]] = _value(value)
            else:
                raise AskError(f"--filter: {field} has both a value and a range")
        else:
            raise AskError(f"--filter: {text!r} is neither JSON nor FIELD=VALUE")
    return found


def _value(text: str) -> str | int | float | bool:
    try:
        value = json.loads(text, parse_constant=str)
    except ValueError:
        return text
    return value if isinstance(value, (str, int, float, bool)) else text


def _key(file: Path) -> str:
    try:
        mode = file.stat().st_mode
        if stat.S_ISREG(mode) and mode & 0o077:
            raise AskError(f"others may read the API key: chmod 600 {file}")
        key = file.read_text("ascii").strip()
    except OSError as error:
        raise AskError(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError:
        key = ""
    if not key or not key.isprintable() or " " in key:
        raise AskError(f"{file} has no API key: one line of letters and digits")
    return key
