"""What every reply of the server is made of: JSON and one-line errors."""

import json
from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

_LONGEST_ERROR = 500


class Json(JSONResponse):
    """A value as JSON."""

    def render(self, content: object) -> bytes:
        """The value's bytes."""
        return encode_json(content)


def encode_json(value: object) -> bytes:
    """A value as one line of JSON; half a surrogate pair, which has no UTF-8 form, becomes "?"."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")


def error_response(
    status: int, message: str, headers: Mapping[str, str] | None = None
) -> Response:
    """A refusal or failure, told in one line."""
    return Json({"error": one_line(message)}, status, headers)


def one_line(error: object) -> str:
    """An error's message in one line of bounded length."""
    return " ".join(str(error).split())[:_LONGEST_ERROR]


def busy(what: str, seconds: int) -> HTTPException:
    """
    The error of a server that has enough to do.

    Args:
        what: there is too much of.
        seconds: when to try again.
    """
    return HTTPException(503, f"{what}; try again in {seconds} s", {"Retry-After": str(seconds)})
