"""What every reply of the server is made of: JSON and one-line errors."""

import json
import logging
from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from squadlite.errors import SquadliteError

_log = logging.getLogger("squadlite.server")
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


def error_response(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """A refusal or failure, told in one line."""
    return Json({"error": one_line(message)}, status, headers)


def one_line(error: object) -> str:
    """An error's message in one line of bounded length."""
    return " ".join(str(error).split())[:_LONGEST_ERROR]


def failure(error: Exception, doing: str) -> str:
    """
    What to say of something that went wrong: one line, never a traceback.

    Args:
        error: ours, the system's, or a mistake in the program, which is logged.
        doing: what was being done, for the log.
    """
    if isinstance(error, MemoryError):
        return "not enough memory"
    if isinstance(error, SquadliteError | OSError):
        return one_line(error)
    _log.error("%s: %s", doing, one_line(repr(error)))
    return "something went wrong here"


def busy(what: str, seconds: int) -> HTTPException:
    """
    The error of a server that has enough to do.

    Args:
        what: there is too much of.
        seconds: when to try again.
    """
    return HTTPException(503, f"{what}; try again in {seconds} s", {"Retry-After": str(seconds)})
