"""One question and its answer over HTTPS, bounded in time and size, and what the answer says."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Optional, TypeVar

from bcm_jobstats.bcm import records
from bcm_jobstats.bcm.errors import Refused, TimedOut, Unreachable, Unreadable
from bcm_jobstats.bcm.rest.errors import Forbidden, Truncated, UnknownCall, Untrusted

if TYPE_CHECKING:
    import requests

T = TypeVar("T")
LARGEST = 64 * 1024 * 1024
"""Bytes of one answer, unpacked: several times what CMDaemon tells of 10,000 nodes."""
LONGEST_WORDS = 500
"""Characters of what CMDaemon says that are shown."""
PIECE = 64 * 1024
AGAIN = "Run the command again; when it stays so, report what CMDaemon's log says (/var/log/cmdaemon)."


@dataclass(frozen=True)
class Reply:
    """What came back. `location` is where a redirect goes to."""

    status: int
    location: str
    body: bytes


def session(certificate: Path, key: Path, ca: Path) -> requests.Session:
    """A session with a client certificate that trusts BCM's authority and nothing else: no proxy, no netrc."""
    import requests

    class Plain(requests.Session):
        """Looks at no redirect: requests breaks on odd ones, although it is not to follow them."""

        def get_redirect_target(self, resp: requests.Response) -> Optional[str]:
            return None

    made = Plain()
    made.trust_env = False
    made.verify = str(ca)
    made.cert = (str(certificate), str(key))
    return made


def exchange(made: requests.Session, url: str, body: Optional[dict[str, object]], timeout: float) -> Reply:
    """Ask once: POST with a body, else GET. Raises Unreachable, TimedOut, Truncated, or Unreadable for too large."""
    import requests

    method = "GET" if body is None else "POST"
    try:
        with made.request(method, url, json=body, timeout=timeout, stream=True, allow_redirects=False) as answer:
            return Reply(answer.status_code, answer.headers.get("Location", ""), _all_of(answer, url))
    except requests.exceptions.Timeout as error:
        raise _late(url, timeout) from error
    except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError) as error:
        raise Truncated(url, f"the answer broke off: {_words(error)}", AGAIN) from error
    except requests.exceptions.ConnectionError as error:
        raise _unconnected(url, _innermost(error)) from error
    except Unreadable:
        raise
    except Exception as error:  # what a library makes of an odd answer is not documented, such as RuntimeError
        raise Unreachable(url, f"cannot be asked: {_words(error):.300}", "Check `bcm:` in the site file.") from error


def _all_of(answer: requests.Response, url: str) -> bytes:
    body = bytearray()
    for piece in answer.iter_content(PIECE):
        body += piece
        if len(body) > LARGEST:
            raise Unreadable(url, f"the answer is larger than {LARGEST >> 20} MiB", AGAIN)
    told = answer.headers.get("Content-Length", "")
    # Old versions of urllib3 take what came for the whole; the length counts packed bytes.
    if told.isdigit() and "Content-Encoding" not in answer.headers and len(body) < int(told):
        raise Truncated(url, f"the answer broke off after {len(body)} of {told} bytes", AGAIN)
    return bytes(body)


def bounded(ask: Callable[[], T], what: str, seconds: float) -> T:
    """The result of `ask`; raises TimedOut after `seconds`, however slowly single bytes still trickle in."""
    done: list[T] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            done.append(ask())
        except BaseException as error:  # it is raised where it was asked
            failed.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not done:
        raise _late(what, seconds)
    return done[0]


def document(what: str, reply: Reply) -> Any:
    """The JSON of a reply, `errormessage` (which comes with HTTP status 200, bcm-facts §8.1) raised as an error."""
    try:
        told = json.loads(reply.body, object_pairs_hook=_object, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Unreadable(what, f"CMDaemon's answer is not JSON ({type(error).__name__})", AGAIN) from error
    if isinstance(told, dict) and "errormessage" in told:
        said = told["errormessage"]
        words = " ".join((said if isinstance(said, str) else records.shown(said)).split())[:LONGEST_WORDS]
        words = words.encode("utf-8", "replace").decode()
        if "does not allow access" in words:
            raise Forbidden(what, words, "Use a certificate whose profile has that right (bcm.certificate).")
        if words.startswith("No such service"):
            raise UnknownCall(what, words, "")
        raise Refused(what, words or "CMDaemon refused it without a word", AGAIN)
    return told


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object; ValueError when two of its values have one key, as only one of them would be seen."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


def _late(what: str, seconds: float) -> TimedOut:
    remedy = "Check CMDaemon (systemctl status cmd), or raise bcm.timeout in the site file."
    return TimedOut(what, f"gave no whole answer within {seconds:g} seconds", remedy)


def _unconnected(url: str, error: BaseException) -> Unreachable:
    import ssl

    if isinstance(error, ssl.SSLCertVerificationError):
        remedy = "bcm.ca has to be BCM's authority, and bcm.address a name in CMDaemon's certificate."
        return Untrusted(url, f"no trusted connection: {_words(error)}", remedy)
    remedy = "Check CMDaemon (systemctl status cmd), bcm.address and bcm.certificate in the site file."
    return Unreachable(url, f"no connection: {_words(error)}", remedy)


def _innermost(error: BaseException) -> BaseException:
    """The error at the bottom of a chain of errors, whose words say it best."""
    while True:
        inner = getattr(error, "reason", None) or next((a for a in error.args if isinstance(a, BaseException)), None)
        if not isinstance(inner, BaseException):
            return error
        error = inner


def _words(error: BaseException) -> str:
    return " ".join(str(_innermost(error)).split()) or type(error).__name__
