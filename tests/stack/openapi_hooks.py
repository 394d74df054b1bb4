"""What schemathesis cannot know from the document: which fields a generation has."""

from typing import Any

import schemathesis


def _names_no_field(wanted: Any) -> bool:
    return not isinstance(wanted, dict) or not wanted


@schemathesis.hook
def filter_body(context: Any, body: Any) -> bool:  # noqa: ARG001  # hooks are called with it
    """A field that is not there is 400, though the document allows any name."""
    return not isinstance(body, dict) or _names_no_field(body.get("filter"))


@schemathesis.hook
def filter_query(context: Any, query: Any) -> bool:  # noqa: ARG001  # as above
    return not isinstance(query, dict) or _names_no_field(query.get("filter"))
