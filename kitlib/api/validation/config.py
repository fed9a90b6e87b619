"""ConfigMaps, Secrets and ServiceAccounts: keys, sizes, and what the well-known types of Secrets hold.

Source: k8s.io/kubernetes/pkg/apis/core/validation (ValidateConfigMap, ValidateSecret and their updates).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping

from kitlib.api.validation.common import Errors, Obj, each, immutable
from kitlib.objects import field, names

MAX_SIZE = 1024 * 1024
_SET = "field is immutable when `immutable` is set"
_REDACTED = "<secret contents redacted>"
_NEEDED = {"kubernetes.io/tls": ("tls.crt", "tls.key"), "kubernetes.io/ssh-auth": ("ssh-privatekey",)}
_DOCKER = {"kubernetes.io/dockercfg": ".dockercfg", "kubernetes.io/dockerconfigjson": ".dockerconfigjson"}


def _bytes_in(text: str | None) -> int:
    """How many bytes a base64 text stands for (null: none)."""
    return 0 if text is None else len(text) * 3 // 4 - text[-2:].count("=")


def _text_size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def create_configmap(errs: Errors, obj: Obj) -> None:
    data: Mapping[str, str] = obj.get("data") or {}
    binary: Mapping[str, str] = obj.get("binaryData") or {}
    size = 0
    for key, value in data.items():
        each(errs, f"data[{key}]", key, names.config_map_key(key))
        if key in binary:
            errs.append(field.invalid(f"data[{key}]", key, "duplicate of key present in binaryData"))
        size += _text_size(value)
    for key, value in binary.items():
        each(errs, f"binaryData[{key}]", key, names.config_map_key(key))
        size += _bytes_in(value)
    if size > MAX_SIZE:
        errs.append(field.too_long("[]", MAX_SIZE))


def update_configmap(errs: Errors, new: Obj, old: Obj) -> None:
    _frozen(errs, new, old, ("data", "binaryData"))


def _frozen(errs: Errors, new: Obj, old: Obj, parts: tuple[str, ...]) -> None:
    if not old.get("immutable"):
        return
    if not new.get("immutable"):
        errs.append(field.forbidden("immutable", _SET))
    for name in parts:
        if (new.get(name) or {}) != (old.get(name) or {}):
            errs.append(field.forbidden(name, _SET))


def create_secret(errs: Errors, obj: Obj) -> None:
    data: Mapping[str, str] = obj.get("data") or {}
    size = 0
    for key, value in data.items():
        each(errs, f"data[{key}]", key, names.config_map_key(key))
        size += _bytes_in(value)
    if size > MAX_SIZE:
        errs.append(field.too_long("data", MAX_SIZE))
    kind = obj.get("type", "")
    if kind == "kubernetes.io/service-account-token":
        annotations = obj["metadata"].get("annotations") or {}
        if not annotations.get("kubernetes.io/service-account.name"):
            errs.append(field.required("metadata.annotations[kubernetes.io/service-account.name]"))
    elif kind == "kubernetes.io/basic-auth":
        if "username" not in data and "password" not in data:
            errs.append(field.required("data[username]"))
            errs.append(field.required("data[password]"))
    elif kind in _DOCKER:
        _docker(errs, data, _DOCKER[kind])
    for key in _NEEDED.get(kind, ()):
        if key not in data or (kind == "kubernetes.io/ssh-auth" and not data[key]):
            errs.append(field.required(f"data[{key}]"))


def _docker(errs: Errors, data: Mapping[str, str], key: str) -> None:
    if key not in data:
        errs.append(field.required(f"data[{key}]"))
        return
    try:
        content = json.loads(base64.b64decode(data[key]))
    except ValueError as error:
        errs.append(field.invalid(f"data[{key}]", _REDACTED, str(error)))
        return
    if not isinstance(content, dict):
        errs.append(field.invalid(f"data[{key}]", _REDACTED, "cannot unmarshal into an object"))


def update_secret(errs: Errors, new: Obj, old: Obj) -> None:
    immutable(errs, "type", new.get("type"), old.get("type"))
    _frozen(errs, new, old, ("data",))
