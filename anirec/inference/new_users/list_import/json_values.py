"""Access to values in JSON of unknown shape."""

from typing import Any


def get(content: object, *keys: str) -> Any:
    """Return the value below nested keys; None if there is none."""
    for key in keys:
        content = content.get(key) if isinstance(content, dict) else None
    return content


def dicts(values: object) -> list[dict[str, Any]]:
    """Return the objects in a JSON list; an empty list if it is none."""
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []
