"""JSON-RPC of CMDaemon: what a request to ``/json`` means, and how it is answered (bcm-facts §8.1)."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bcm_jobstats.simulator import messages, tokens
from bcm_jobstats.simulator.faults import DroppedError
from bcm_jobstats.simulator.json_calls import Call, calls
from bcm_jobstats.simulator.json_words import BadCallError, Caller, CallError

if TYPE_CHECKING:
    from bcm_jobstats.simulator.http_web import Web

SERVICES = {
    name[2:].lower(): name
    for name in (
        *("CMAuth", "CMBeeGFS", "CMCeph", "CMCert", "CMCloud", "CMDevice", "CMEtcd", "CMGui", "CMJob", "CMKube"),
        *("CMMain", "CMMon", "CMNet", "CMPart", "CMProc", "CMProv", "CMServ", "CMSession", "CMStatus", "CMTest"),
        "CMUser",
    )
}
"""The services by their names without prefix (bcm-facts §8.1). CMTest answers nothing here."""

COOKIE = "cm-login-token"


@dataclass
class Reply:
    """An answer: status, body before it is written as JSON, and further headers."""

    value: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    minify: bool = False


def told(text: str) -> dict[str, str]:
    """An error as CMDaemon tells it, at whatever status."""
    return {"errormessage": text + "\n"}


def answer(web: Web, caller: Caller, token: str, body: bytes) -> Reply:
    """Carry out the call in a request's body; `token` is that of the caller's session, if there is one."""
    try:
        request = json.loads(body)
        if not isinstance(request, dict) or not isinstance(request.get("service"), str):
            raise BadCallError("not a request")
        reply = _session(web, token, request) or _called(web, caller, request)
    except CallError as error:
        return Reply(told(str(error)))
    except (BadCallError, json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        return Reply(told(messages.worded(str(error), web.switch("texts"))), 400)
    except (DroppedError, OSError):
        raise
    except Exception as error:  # a bad request does not end the connection; its reason is in the log
        web.daemon.record({"error": f"{type(error).__name__}: {error}"})
        return Reply(told("internal error"), 500)
    reply.minify = bool(request.get("minify"))
    return reply


def _session(web: Web, token: str, request: dict[str, Any]) -> Reply | None:
    """Login and logout, which are services without calls."""
    if request["service"] == "login":
        web.daemon.record({"json": "login"})
        fresh = web.login(str(request.get("username", "")), str(request.get("password", "")))
        cookie = f"{COOKIE}={fresh};path=/;Secure;httponly"
        return Reply(False) if fresh is None else Reply(True, headers={"Set-Cookie": cookie})
    if request["service"] == "logout":
        web.daemon.record({"json": "logout"})
        web.logout(token)
        return Reply(True)
    return None


def _called(web: Web, caller: Caller, request: dict[str, Any]) -> Reply:
    short = request["service"].lower()
    short = short[2:] if short.startswith("cm") else short
    service, name = SERVICES.get(short), request.get("call")
    web.daemon.record({web.way: f"{service or request['service']}::{name}"})
    if service is None:
        raise CallError(f"No such service: '(cm){short}'")
    call = calls(web.switch("overlay_calls")).get((service, str(name)))
    if call is None:
        raise BadCallError(f"No such call: {service}::{name}")
    if not caller.profile or not tokens.allowed(web.daemon, caller.profile, call.token):
        raise CallError(f"Your certificate (profile:{caller.profile}) does not allow access to {service}::{name}")
    return Reply(call.function(web, caller, *_arguments(call, request)))


def _arguments(call: Call, request: dict[str, Any]) -> list[Any]:
    """The arguments of a call: a list, a single one, or by their names; None for those left out at the end."""
    if "args" in request:
        found = request["args"]
        if not isinstance(found, list):
            raise BadCallError("args is not a list")
    elif "arg" in request:
        found = [request["arg"]]
    else:
        found = [request.get(name) for name in call.parameters]
    if len(found) > len(call.parameters):
        raise BadCallError(f"too many arguments: {len(found)}")
    return [*found, *[None] * (len(call.parameters) - len(found))]
