"""Options of a crawl, checked before the first request: settings of the spider, --since, the site's client id."""

import os
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from anirec.errors import UserError


def parse_settings(kind: Any, settings: Sequence[str]) -> dict[str, Any]:
    """Return the settings of a spider, with its defaults.

    Raises:
        UserError: A setting is unknown or has the wrong type.
    """
    values = {key: getattr(kind, key) for key in kind.setting_names}
    for text in settings:
        key, is_given, value = text.partition("=")
        if not is_given or key not in values:
            raise UserError(f"{text}: expected KEY=VALUE with one of the keys {', '.join(values)}")
        try:
            values[key] = type(values[key])(value)
        except ValueError:
            raise UserError(f"{text}: expected a number") from None
    for key in ("seconds", "timeout"):
        if not 0 < values[key] < 86_400:
            raise UserError(f"{key}={values[key]:g}: expected seconds, more than 0 and less than a day")
    for key in ("address", "characters"):
        is_own = urlsplit(values.get(key, "")).hostname != urlsplit(getattr(kind, key, "")).hostname
        if values["seconds"] < kind.seconds and not is_own and key in values:
            host = urlsplit(values[key]).hostname
            raise UserError(f"seconds={values['seconds']:g}: {host} needs {kind.seconds:g} s between two requests.")
    if urlsplit(values["address"]).scheme not in ("http", "https"):
        raise UserError(f"address={values['address']}: expected an address that starts with https:// or http://")
    values["address"] = values["address"].rstrip("/")
    return values


def parse_since(kind: Any, since: str) -> str:
    """Return --since in the form of the spider.

    Raises:
        UserError: It is malformed, or the spider cannot leave out what is older.
    """
    if since and not kind.has_since:
        raise UserError(f"{kind.name} always fetches whole {kind.unit}: leave out --since.")
    try:
        return str(kind.parse_since(since)) if since else ""
    except ValueError:
        expected = "the id of a post" if kind.unit == "posts" else "a day such as 2026-01-31"
        raise UserError(f"--since {since}: expected {expected}") from None


def read_client_id(kind: Any) -> str:
    """Return the site's key from the environment; empty if it needs none.

    Raises:
        UserError: The variable is not set.
    """
    client_id = os.environ.get(kind.variable, "").strip() if kind.variable else ""
    if kind.variable and not (client_id.isascii() and client_id.isprintable() and client_id):
        raise UserError(
            f"{kind.name}: this API needs a client id.\nCreate one at {kind.variable_from} and export {kind.variable}=…"
        )
    return client_id
