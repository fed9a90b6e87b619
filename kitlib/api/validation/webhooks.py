"""Admission webhooks: where to call, for what, and what to do when it fails.

Source: k8s.io/kubernetes/pkg/apis/admissionregistration/validation.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from kitlib.api.validation.common import Errors, Obj, each, expression, label_selector, one_of, port_number
from kitlib.objects import field, names

VERSIONS = ("v1", "v1beta1")
_OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")


def create_validatingwebhookconfiguration(errs: Errors, obj: Obj) -> None:
    _webhooks(errs, obj, mutating=False)


def create_mutatingwebhookconfiguration(errs: Errors, obj: Obj) -> None:
    _webhooks(errs, obj, mutating=True)


def _webhooks(errs: Errors, obj: Obj, *, mutating: bool) -> None:
    seen = set()
    for index, hook in enumerate(obj.get("webhooks") or ()):
        at, name = f"webhooks[{index}]", hook.get("name", "")
        _webhook(errs, at, hook)
        if mutating:
            one_of(errs, f"{at}.reinvocationPolicy", hook.get("reinvocationPolicy"), ("IfNeeded", "Never"), False)
        if name and name in seen:
            errs.append(field.duplicate(f"{at}.name", name))
        seen.add(name)
        versions = hook.get("admissionReviewVersions") or []
        if not versions:
            errs.append(field.required(f"{at}.admissionReviewVersions", f"must specify one of {', '.join(VERSIONS)}"))
        elif not set(versions) & set(VERSIONS):
            errs.append(field.invalid(f"{at}.admissionReviewVersions", versions,
                                      f"must include at least one of {', '.join(VERSIONS)}"))


def _webhook(errs: Errors, path: str, hook: Obj) -> None:
    fully_qualified(errs, f"{path}.name", hook.get("name", ""))
    for index, rule in enumerate(hook.get("rules") or ()):
        resource_rule(errs, f"{path}.rules[{index}]", rule)
    one_of(errs, f"{path}.failurePolicy", hook.get("failurePolicy"), ("Fail", "Ignore"), False)
    one_of(errs, f"{path}.matchPolicy", hook.get("matchPolicy"), ("Equivalent", "Exact"), False)
    effects = hook.get("sideEffects")
    if not effects:
        errs.append(field.required(f"{path}.sideEffects", "must specify one of None, NoneOnDryRun"))
    elif effects not in ("None", "NoneOnDryRun"):
        errs.append(field.not_supported(f"{path}.sideEffects", effects, ("None", "NoneOnDryRun")))
    seconds = hook.get("timeoutSeconds")
    if seconds is not None and not 1 <= seconds <= 30:
        errs.append(field.invalid(f"{path}.timeoutSeconds", seconds,
                                  "the timeout value must be between 1 and 30 seconds"))
    for name in ("namespaceSelector", "objectSelector"):
        label_selector(errs, f"{path}.{name}", hook.get(name))
    client_config(errs, f"{path}.clientConfig", hook.get("clientConfig") or {})
    match_conditions(errs, path, hook)


def fully_qualified(errs: Errors, path: str, name: str) -> None:
    if not name:
        errs.append(field.required(path))
        return
    problems = names.dns_subdomain(name)
    if problems:
        each(errs, path, name, problems)
    elif name.count(".") < 2:
        errs.append(field.invalid(path, name, "should be a domain with at least three segments separated by dots"))


def resource_rule(errs: Errors, path: str, rule: Obj) -> None:
    operations = rule.get("operations") or []
    if not operations:
        errs.append(field.required(f"{path}.operations"))
    for index, operation in enumerate(operations):
        if operation not in _OPERATIONS:
            errs.append(field.not_supported(f"{path}.operations[{index}]", operation, _OPERATIONS))
    if len(operations) > 1 and "*" in operations:
        errs.append(field.invalid(f"{path}.operations", operations,
                                  "if '*' is present, must not specify other operations"))
    for name in ("apiGroups", "apiVersions", "resources"):
        values = rule.get(name) or []
        if not values:
            errs.append(field.required(f"{path}.{name}"))
        if len(values) > 1 and "*" in values and name != "resources":
            errs.append(field.invalid(f"{path}.{name}", values, f"if '*' is present, must not specify other "
                                      f"{'API groups' if name == 'apiGroups' else 'API versions'}"))
        for index, value in enumerate(values):
            if value == "" and name != "apiGroups":
                errs.append(field.required(f"{path}.{name}[{index}]"))
    one_of(errs, f"{path}.scope", rule.get("scope"), ("*", "Cluster", "Namespaced"), False)


def client_config(errs: Errors, path: str, config: Obj) -> None:
    """Exactly one of a URL and a Service."""
    url, service = config.get("url"), config.get("service")
    if (url is None) == (service is None):
        errs.append(field.required(path, "exactly one of url or service is required"))
    if url is not None:
        _url(errs, f"{path}.url", url)
    if service is not None:
        for name in ("name", "namespace"):
            if not service.get(name):
                errs.append(field.required(f"{path}.service.{name}"))
        port_number(errs, f"{path}.service.port", service.get("port", 443))
        if service.get("path") and not service["path"].startswith("/"):
            errs.append(field.invalid(f"{path}.service.path", service["path"], "must start with a '/'"))


def _url(errs: Errors, path: str, url: str) -> None:
    form = "; desired format: https://host[/path]"
    try:
        parts = urlsplit(url)
    except ValueError as error:
        errs.append(field.required(path, f"url must be a valid URL: {error}{form}"))
        return
    if parts.scheme != "https":
        errs.append(field.invalid(path, parts.scheme, f"'https' is the only allowed URL scheme{form}"))
    if not parts.netloc:
        errs.append(field.invalid(path, parts.netloc, f"host must be specified{form}"))
    if parts.username:
        errs.append(field.invalid(path, parts.username, "user information is not permitted in the URL"))
    if parts.fragment:
        errs.append(field.invalid(path, parts.fragment, "fragments are not permitted in the URL"))
    if parts.query:
        errs.append(field.invalid(path, parts.query, "query parameters are not permitted in the URL"))


def match_conditions(errs: Errors, path: str, hook: Obj) -> None:
    conditions = hook.get("matchConditions") or []
    if len(conditions) > 64:
        errs.append(field.too_many(f"{path}.matchConditions", len(conditions), 64))
    seen = set()
    for index, condition in enumerate(conditions):
        at = f"{path}.matchConditions[{index}]"
        name = condition.get("name", "")
        if not name:
            errs.append(field.required(f"{at}.name"))
        else:
            each(errs, f"{at}.name", name, names.qualified_name(name))
        if name in seen:
            errs.append(field.duplicate(f"{at}.name", name))
        seen.add(name)
        expression(errs, f"{at}.expression", condition.get("expression"))
