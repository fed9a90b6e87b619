"""The Gateway API's kinds as CustomResourceDefinitions, compact: what its standard channel has at v1.4.

    GatewayClass    who serves Gateways                        the platform's
    Gateway         listeners: ports, protocols, certificates  the operator's
    HTTPRoute       hosts, matches, filters, backends          the application's
    GRPCRoute, TLSRoute, BackendTLSPolicy, ReferenceGrant      (Traefik watches them, too, so they must be there)

Written from the published specification (gateway-api.sigs.k8s.io/reference/spec): fields, defaults, enums, limits and
list keys.  Its CEL rules are left out; where one only says "this value begins with a slash", the schema says it.
"""

from __future__ import annotations

from typing import Any

GROUP = "gateway.networking.k8s.io"
BUNDLE = {"gateway.networking.k8s.io/bundle-version": "v1.4.0", "gateway.networking.k8s.io/channel": "standard",
          "api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/gateway-api/pull/3328"}  # fmt: skip

Schema = dict[str, Any]

_DNS = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
_AGE = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}


def string(**more: Any) -> Schema:
    return {"type": "string", **more}


def enum(*values: str, **more: Any) -> Schema:
    return string(enum=list(values), **more)


def integer(low: int, high: int, **more: Any) -> Schema:
    return {"type": "integer", "format": "int32", "minimum": low, "maximum": high, **more}


def obj(required: str = "", /, default: Any = None, **properties: Schema) -> Schema:
    """An object.  required: names, separated by blanks."""
    found: Schema = {"type": "object", "properties": properties}
    if required:
        found["required"] = required.split()
    if default is not None:
        found["default"] = default
    return found


def array(items: Schema, most: int, *, keys: str = "", least: int = 0, default: Any = None) -> Schema:
    """A list, atomic unless it has keys."""
    found = {"type": "array", "items": items, "maxItems": most, "x-kubernetes-list-type": "map" if keys else "atomic"}
    if keys:
        found["x-kubernetes-list-map-keys"] = keys.split()
    if least:
        found["minItems"] = least
    if default is not None:
        found["default"] = default
    return found


def texts(most: int) -> Schema:
    return {"type": "object", "additionalProperties": string(), "maxProperties": most}


NAME = string(minLength=1, maxLength=253)
NAMESPACE = string(minLength=1, maxLength=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
SECTION = string(minLength=1, maxLength=253, pattern=f"^{_DNS}$")
KIND = string(minLength=1, maxLength=63, pattern="^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$")
API_GROUP = string(maxLength=253, pattern=f"^$|^{_DNS}$")
HOSTNAME = string(minLength=1, maxLength=253, pattern=rf"^(\*\.)?{_DNS}$")
PRECISE_HOSTNAME = string(minLength=1, maxLength=253, pattern=f"^{_DNS}$")
PORT = integer(1, 65535)
DURATION = string(pattern="^([0-9]{1,5}(h|m|s|ms)){1,4}$")
CONTROLLER = string(minLength=1, maxLength=253, pattern=rf"^{_DNS}\/[A-Za-z0-9\/\-._~%!$&'()*+,;=:]+$")
CONDITION = obj("lastTransitionTime message reason status type", lastTransitionTime=string(format="date-time"),
                message=string(maxLength=32768), observedGeneration={"type": "integer", "format": "int64"},
                reason=string(minLength=1, maxLength=1024), status=enum("True", "False", "Unknown"),
                type=string(maxLength=316))  # fmt: skip
CONDITIONS = array(CONDITION, 8, keys="type")
PARENT = obj("name", group=API_GROUP | {"default": GROUP}, kind=KIND | {"default": "Gateway"}, namespace=NAMESPACE,
             name=NAME, sectionName=SECTION, port=PORT)  # fmt: skip
SECRET = obj("name", group=API_GROUP | {"default": ""}, kind=KIND | {"default": "Secret"}, namespace=NAMESPACE,
             name=NAME)  # fmt: skip
LOCAL = obj("group kind name", group=API_GROUP, kind=KIND, name=NAME)
SELECTOR = {"type": "object", "properties": {
    "matchLabels": {"type": "object", "additionalProperties": string()},
    "matchExpressions": array(obj("key operator", key=string(), operator=string(), values=array(string(), 64)), 64)}}


def pending(*kinds: str) -> list[dict[str, str]]:
    """The conditions an object has before its controller has seen it."""
    return [{"type": kind, "status": "Unknown", "reason": "Pending", "message": "Waiting for controller",
             "lastTransitionTime": "1970-01-01T00:00:00Z"} for kind in kinds]


def definition(kind: str, plural: str, spec: Schema, status: Schema | None = None, *, scope: str = "Namespaced",
               versions: tuple[str, ...] = ("v1",), short: tuple[str, ...] = (),
               columns: tuple[Schema, ...] = ()) -> Schema:
    """The first version is the one that is stored."""
    properties = {"apiVersion": string(), "kind": string(), "metadata": {"type": "object"}, "spec": spec}
    if status is not None:
        properties["status"] = status
    schema = {"type": "object", "required": ["spec"], "properties": properties}
    served = [{"name": version, "served": True, "storage": version == versions[0],
               "schema": {"openAPIV3Schema": schema}, "additionalPrinterColumns": [*columns, _AGE],
               **({"subresources": {"status": {}}} if status is not None else {})} for version in versions]
    names = {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower(),
             "categories": ["gateway-api"], **({"shortNames": list(short)} if short else {})}  # fmt: skip
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.{GROUP}", "annotations": BUNDLE},
            "spec": {"group": GROUP, "names": names, "scope": scope, "versions": served}}


def column(name: str, path: str, **more: Any) -> Schema:
    return {"name": name, "type": "string", "jsonPath": path, **more}


def gateway_class() -> Schema:
    parameters = obj("group kind name", group=API_GROUP, kind=KIND, name=NAME, namespace=NAMESPACE)
    spec = obj("controllerName", controllerName=CONTROLLER, parametersRef=parameters, description=string(maxLength=64))
    status = obj(default={"conditions": pending("Accepted")}, conditions=CONDITIONS,
                 supportedFeatures=array(obj("name", name=string()), 64, keys="name"))
    accepted = column("Accepted", '.status.conditions[?(@.type=="Accepted")].status')
    return definition("GatewayClass", "gatewayclasses", spec, status, scope="Cluster", short=("gc",), columns=(
        column("Controller", ".spec.controllerName"), accepted, column("Description", ".spec.description", priority=1)))


def gateway() -> Schema:
    kinds = array(obj("kind", group=API_GROUP | {"default": GROUP}, kind=KIND), 8)
    same = {"namespaces": {"from": "Same"}}
    allowed = obj(default=same, kinds=kinds, namespaces=obj(default={"from": "Same"}, selector=SELECTOR, **{
        "from": enum("All", "Selector", "Same", default="Same")}))
    tls = obj(mode=enum("Terminate", "Passthrough", default="Terminate"), certificateRefs=array(SECRET, 64),
              options=texts(16))
    protocol = string(minLength=1, maxLength=255,
                      pattern=rf"^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$|^{_DNS}\/[A-Za-z0-9]+$")
    listener = obj("name port protocol", name=SECTION, hostname=HOSTNAME, port=PORT, protocol=protocol, tls=tls,
                   allowedRoutes=allowed)
    address = obj(type=string(minLength=1, maxLength=253, default="IPAddress"), value=string(maxLength=253))
    infrastructure = obj(labels=texts(8), annotations=texts(8), parametersRef=LOCAL)
    spec = obj("gatewayClassName listeners", gatewayClassName=NAME, addresses=array(address, 16),
               infrastructure=infrastructure, listeners=array(listener, 64, keys="name", least=1))
    listening = obj("attachedRoutes conditions name", name=SECTION, supportedKinds=kinds, conditions=CONDITIONS,
                    attachedRoutes={"type": "integer", "format": "int32"})
    status = obj(default={"conditions": pending("Accepted", "Programmed")}, addresses=array(
        obj("value", type=string(default="IPAddress"), value=string(minLength=1, maxLength=253)), 16),
        conditions=CONDITIONS, listeners=array(listening, 64, keys="name"))
    return definition("Gateway", "gateways", spec, status, short=("gtw",), columns=(
        column("Class", ".spec.gatewayClassName"), column("Address", ".status.addresses[*].value"),
        column("Programmed", '.status.conditions[?(@.type=="Programmed")].status')))


def backend(filters: Schema | None = None) -> Schema:
    more = {"filters": filters} if filters else {}
    return obj("name", group=API_GROUP | {"default": ""}, kind=KIND | {"default": "Service"}, namespace=NAMESPACE,
               name=NAME, port=PORT, weight=integer(0, 1_000_000, default=1), **more)  # fmt: skip


HEADER = string(minLength=1, maxLength=256, pattern="^[A-Za-z0-9!#$%&'*+\\-.^_\\x60|~]+$")
HEADERS = array(obj("name value", name=HEADER, value=string(minLength=1, maxLength=4096)), 16, keys="name")
HEADER_FILTER = obj(set=HEADERS, add=HEADERS, remove=array(string(), 16) | {"x-kubernetes-list-type": "set"})
MIRROR = obj("backendRef", backendRef=backend(), percent=integer(0, 100),
             fraction=obj("numerator", numerator=integer(0, 1 << 30), denominator=integer(1, 1 << 30, default=100)))
PATH_CHANGE = obj("type", type=enum("ReplaceFullPath", "ReplacePrefixMatch"), replaceFullPath=string(maxLength=1024),
                  replacePrefixMatch=string(maxLength=1024))  # fmt: skip
REDIRECT = obj(scheme=enum("http", "https"), hostname=PRECISE_HOSTNAME, path=PATH_CHANGE, port=PORT,
               statusCode={"type": "integer", "default": 302, "enum": [301, 302, 303, 307, 308]})  # fmt: skip
EXACT_OR_PATTERN = {"default": "Exact", "enum": ["Exact", "RegularExpression"], "type": "string"}


def named_values(name: Schema) -> Schema:
    value = obj("name value", type=EXACT_OR_PATTERN, name=name, value=string(minLength=1, maxLength=4096))
    return array(value, 16, keys="name")


def route_spec(match: Schema, filters: Schema, default_match: Any = None, **rule: Schema) -> Schema:
    """What HTTPRoute and GRPCRoute have in common."""
    matches = array(match, 64, default=default_match and [default_match])
    rules = array(obj(name=SECTION, matches=matches, filters=filters, backendRefs=array(backend(filters), 16), **rule),
                  16, default=default_match and [{"matches": [default_match]}])
    return obj(parentRefs=array(PARENT, 32), hostnames=array(HOSTNAME, 16), rules=rules)


PARENTS = obj("parents", parents=array(obj("parentRef controllerName conditions", parentRef=PARENT,
                                           controllerName=CONTROLLER, conditions=CONDITIONS), 32))
HOSTNAMES = column("Hostnames", ".spec.hostnames")


def http_route() -> Schema:
    path = obj(default={"type": "PathPrefix", "value": "/"}, value=string(maxLength=1024, default="/"),
               type=enum("Exact", "PathPrefix", "RegularExpression", default="PathPrefix"))
    path["anyOf"] = [{"properties": {"type": {"enum": ["RegularExpression"]}}},
                     {"properties": {"value": {"pattern": "^/"}}}]
    match = obj(path=path, headers=named_values(HEADER), queryParams=named_values(HEADER),
                method=enum("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"))
    kinds = ("RequestHeaderModifier", "ResponseHeaderModifier", "RequestMirror", "RequestRedirect", "URLRewrite",
             "ExtensionRef")  # fmt: skip
    filters = array(obj("type", type=enum(*kinds), requestHeaderModifier=HEADER_FILTER,
                        responseHeaderModifier=HEADER_FILTER, requestMirror=MIRROR, requestRedirect=REDIRECT,
                        urlRewrite=obj(hostname=PRECISE_HOSTNAME, path=PATH_CHANGE), extensionRef=LOCAL), 16)
    spec = route_spec(match, filters, {"path": {"type": "PathPrefix", "value": "/"}},
                      timeouts=obj(request=DURATION, backendRequest=DURATION))
    return definition("HTTPRoute", "httproutes", spec, PARENTS, columns=(HOSTNAMES,))


def grpc_route() -> Schema:
    method = obj(type=EXACT_OR_PATTERN, service=string(maxLength=1024), method=string(maxLength=1024))
    filters = array(obj("type", requestHeaderModifier=HEADER_FILTER, responseHeaderModifier=HEADER_FILTER,
                        requestMirror=MIRROR, extensionRef=LOCAL, type=enum(
                            "ResponseHeaderModifier", "RequestHeaderModifier", "RequestMirror", "ExtensionRef")), 16)
    spec = route_spec(obj(method=method, headers=named_values(HEADER)), filters)
    return definition("GRPCRoute", "grpcroutes", spec, PARENTS, columns=(HOSTNAMES,))


def tls_route() -> Schema:
    rule = obj("backendRefs", name=SECTION, backendRefs=array(backend(), 16, least=1))
    spec = obj("hostnames rules", parentRefs=array(PARENT, 32), hostnames=array(HOSTNAME, 16, least=1),
               rules=array(rule, 1, least=1))
    return definition("TLSRoute", "tlsroutes", spec, PARENTS, columns=(HOSTNAMES,))


def reference_grant() -> Schema:
    source = obj("group kind namespace", group=API_GROUP, kind=KIND, namespace=NAMESPACE)
    target = obj("group kind", group=API_GROUP, kind=KIND, name=NAME)
    spec = obj("from to", to=array(target, 16, least=1), **{"from": array(source, 16, least=1)})
    return definition("ReferenceGrant", "referencegrants", spec, versions=("v1beta1", "v1"), short=("refgrant",))


def backend_tls_policy() -> Schema:
    target = obj("group kind name", group=API_GROUP, kind=KIND, name=NAME, sectionName=SECTION)
    alternative = obj("type", type=enum("Hostname", "URI"), hostname=HOSTNAME, uri=string(minLength=1, maxLength=253))
    validation = obj("hostname", hostname=PRECISE_HOSTNAME, caCertificateRefs=array(LOCAL, 8),
                     wellKnownCACertificates=string(minLength=1, maxLength=253), subjectAltNames=array(alternative, 5))
    spec = obj("targetRefs validation", targetRefs=array(target, 16, least=1), validation=validation,
               options=texts(16))
    ancestor = obj("ancestorRef controllerName conditions", ancestorRef=PARENT, controllerName=CONTROLLER,
                   conditions=CONDITIONS)
    return definition("BackendTLSPolicy", "backendtlspolicies", spec, obj("ancestors", ancestors=array(ancestor, 16)),
                      short=("btlspolicy",))


def definitions() -> list[Schema]:
    """All kinds, as manifests."""
    return [gateway_class(), gateway(), http_route(), grpc_route(), tls_route(), reference_grant(),
            backend_tls_policy()]
