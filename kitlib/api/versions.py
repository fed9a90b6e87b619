"""resourceVersion in queries: how old an answer may be.

                     list, get                          watch
    ""               the newest                         initial state, then changes
    "0"              any (we have but the newest)       initial state, then changes
    N                N or newer                         changes after N
    N + Exact        as it was at N                     -
    N in the future  504, the client retries            504
    N compacted      410 Expired                        ERROR event, 410 Expired

Source: k8s.io/apimachinery/pkg/apis/meta/internalversion/validation, k8s.io/apiserver/pkg/storage/cacher.
"""

from __future__ import annotations

from kitlib.api.call import Call, invalid_options
from kitlib.api.routing import TRUE
from kitlib.objects import field as problems
from kitlib.objects.errors import StatusError
from kitlib.store import Store

MATCHES = ("Exact", "NotOlderThan")


def parse(text: str) -> int | None:
    """A resourceVersion as a number; None where Go's strconv.ParseUint would say no."""
    if not (text.isascii() and text.isdigit()) or len(text) > 20:
        return None
    number = int(text)
    return number if number < 2**64 else None


def too_large(store: Store, version: int) -> None:
    """Raise 504 if that version is still to come."""
    if version > store.revision:
        raise StatusError(504, "Timeout", f"Timeout: Too large resource version: {version}, current: {store.revision}",
                          {"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
                           "retryAfterSeconds": 1})


def check_list_options(call: Call, watching: bool) -> None:
    """Raise 422 for parameters that do not go together."""
    param = call.request.param
    match, version, initial = param("resourceVersionMatch"), param("resourceVersion"), param("sendInitialEvents")
    causes = []
    if initial:
        if not watching:
            causes.append(problems.forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"))
        elif match != "NotOlderThan":
            causes.append(problems.forbidden("resourceVersionMatch",
                                             "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"))
        elif param("continue") or param("limit") not in ("", "0"):
            causes.append(problems.forbidden("limit", "limit and continue are forbidden for watch"))
    elif match:
        if watching:
            causes.append(problems.forbidden("resourceVersionMatch",
                                             "resourceVersionMatch is forbidden for watch unless sendInitialEvents is "
                                             "provided"))
        if not version:
            causes.append(problems.forbidden("resourceVersionMatch",
                                             "resourceVersionMatch is forbidden unless resourceVersion is provided"))
        if param("continue"):
            causes.append(problems.forbidden("resourceVersionMatch",
                                             "resourceVersionMatch is forbidden when continue is provided"))
        if match not in MATCHES:
            causes.append(problems.not_supported("resourceVersionMatch", match, MATCHES))
        elif match == "Exact" and version == "0":
            causes.append(problems.forbidden("resourceVersionMatch",
                                             'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'))
    if causes:
        raise invalid_options("ListOptions", causes)


def flag(call: Call, name: str) -> bool:
    """A boolean parameter: present and not "false" or "0"."""
    values = call.request.query.get(name)
    return bool(values) and values is not None and (values[0] in TRUE or values[0] == "")
