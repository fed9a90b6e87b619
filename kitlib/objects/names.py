"""The grammars of names, labels and their kin.

Each function gives a list of sentences: what is wrong with the text; an empty list means fine.
Valid texts, nearly all there are, cost one regular expression or a look into a cache.

    DNS label        my-name            names of Namespaces, containers, volumes
    DNS subdomain    my.name            names of most objects, prefixes of label keys
    DNS-1035 label   starts with a-z    names of Services
    qualified name   prefix/My_Name     keys of labels and annotations, finalizers, resources

Source: k8s.io/apimachinery/pkg/util/validation/validation.go, RFC 1035, RFC 1123.
"""

from __future__ import annotations

import re
from functools import lru_cache

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_LABEL_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_VALUE = f"({_QUALIFIED})?"
_WILDCARD = rf"\*\.{_SUBDOMAIN}"
_C_IDENTIFIER = "[A-Za-z_][A-Za-z0-9_]*"
_CONFIG_KEY = "[-._a-zA-Z0-9]+"
_HTTP_PATH = r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+"
_HEADER = "[-A-Za-z0-9]+"
_PERCENT = "[0-9]+%"

_fits_label = re.compile(_LABEL).fullmatch
_fits_subdomain = re.compile(_SUBDOMAIN).fullmatch
_fits_1035 = re.compile(_LABEL_1035).fullmatch
_fits_qualified = re.compile(_QUALIFIED).fullmatch
_fits_label_value = re.compile(_LABEL_VALUE).fullmatch
_fits_wildcard = re.compile(_WILDCARD).fullmatch
_fits_c_identifier = re.compile(_C_IDENTIFIER).fullmatch
_fits_config_key = re.compile(_CONFIG_KEY).fullmatch
_fits_http_path = re.compile(_HTTP_PATH).fullmatch
_fits_header = re.compile(_HEADER).fullmatch
_fits_percent = re.compile(_PERCENT).fullmatch
_fits_port_name = re.compile("[a-z0-9]([a-z0-9-]*[a-z0-9])?").fullmatch

LABEL_ERROR = ("a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start "
               "and end with an alphanumeric character")
SUBDOMAIN_ERROR = ("a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and "
                   "must start and end with an alphanumeric character")
LABEL_1035_ERROR = ("a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an "
                    "alphabetic character, and end with an alphanumeric character")
QUALIFIED_ERROR = ("must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
                   "alphanumeric character")
LABEL_VALUE_ERROR = ("a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
                     "and must start and end with an alphanumeric character")


def regex_error(message: str, pattern: str, *examples: str) -> str:
    """The sentence about a pattern, with examples."""
    shown = " or ".join(f"'{example}', " for example in examples)
    return f"{message} (e.g. {shown}regex used for validation is '{pattern}')" if examples else (
        f"{message} (regex used for validation is '{pattern}')")


def length_error(limit: int) -> str:
    return f"must be no more than {limit} bytes"


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def dns_label(text: str) -> list[str]:
    if len(text) <= 63 and _fits_label(text):
        return []
    problems = [length_error(63)] if _size(text) > 63 else []
    if not _fits_label(text):
        problems.append(regex_error(LABEL_ERROR, _LABEL, "my-name", "123-abc"))
    return problems


def dns_subdomain(text: str) -> list[str]:
    if len(text) <= 253 and _fits_subdomain(text):
        return []
    problems = [length_error(253)] if _size(text) > 253 else []
    if not _fits_subdomain(text):
        problems.append(regex_error(SUBDOMAIN_ERROR, _SUBDOMAIN, "example.com"))
    return problems


def dns_1035_label(text: str) -> list[str]:
    problems = [length_error(63)] if _size(text) > 63 else []
    if not _fits_1035(text):
        problems.append(regex_error(LABEL_1035_ERROR, _LABEL_1035, "my-name", "abc-123"))
    return problems


def wildcard_subdomain(text: str) -> list[str]:
    """`*.example.com`."""
    problems = [length_error(253)] if _size(text) > 253 else []
    if not _fits_wildcard(text):
        problems.append(regex_error(
            "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist "
            "of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character", _WILDCARD,
            "*.example.com"))
    return problems


@lru_cache(maxsize=4096)
def _qualified_problems(text: str) -> tuple[str, ...]:
    problems: list[str] = []
    prefix, slash, name = text.rpartition("/")
    if text.count("/") > 1:
        return ("a qualified name " + regex_error(QUALIFIED_ERROR, _QUALIFIED, "MyName", "my.name", "123-abc")
                + " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",)
    if slash and not prefix:
        problems.append("prefix part must be non-empty")
    elif slash:
        problems += [f"prefix part {problem}" for problem in dns_subdomain(prefix)]
    if not name:
        problems.append("name part must be non-empty")
    elif _size(name) > 63:
        problems.append(f"name part {length_error(63)}")
    if not _fits_qualified(name):
        problems.append("name part " + regex_error(QUALIFIED_ERROR, _QUALIFIED, "MyName", "my.name", "123-abc"))
    return tuple(problems)


def qualified_name(text: str) -> list[str]:
    """Keys of labels: `app`, `example.com/app`.  Cached: keys repeat all the time."""
    return list(_qualified_problems(text))


def is_qualified_name(text: str) -> bool:
    return not _qualified_problems(text)


def label_value(text: str) -> list[str]:
    if len(text) <= 63 and _fits_label_value(text):
        return []
    problems = [length_error(63)] if _size(text) > 63 else []
    if not _fits_label_value(text):
        problems.append(regex_error(LABEL_VALUE_ERROR, _LABEL_VALUE, "MyValue", "my_value", "12345"))
    return problems


def c_identifier(text: str) -> list[str]:
    if _fits_c_identifier(text):
        return []
    return [regex_error("a valid C identifier must start with alphabetic character or '_', followed by a string of "
                        "alphanumeric characters or '_'", _C_IDENTIFIER, "my_name", "MY_NAME", "MyName")]


def config_map_key(text: str) -> list[str]:
    problems = [length_error(253)] if _size(text) > 253 else []
    if not _fits_config_key(text):
        problems.append(regex_error("a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
                                    _CONFIG_KEY, "key.name", "KEY_NAME", "key-name"))
    if text == ".":
        problems.append("must not be '.'")
    elif text == "..":
        problems.append("must not be '..'")
    elif text.startswith(".."):
        problems.append("must not start with '..'")
    return problems


def env_var_name(text: str) -> list[str]:
    """Environment variables may have any printable ASCII character but `=`."""
    if not text or "=" in text or not (text.isascii() and text.isprintable()):
        return ["a valid environment variable name must consist only of printable ASCII characters other than '='"]
    return []


def path_segment(text: str) -> list[str]:
    """A name that only has to fit into a URL: RBAC's `system:node`."""
    if text in (".", ".."):
        return [f"may not be '{text}'"]
    return [f"may not contain '{char}'" for char in "/%" if char in text]


def domain_prefixed_path(text: str) -> list[str]:
    """`example.com/path`: the name of an ingress controller or a Job's manager."""
    host, slash, path = text.partition("/")
    if not slash or not host or not path:
        return ["must be a domain-prefixed path (such as \"acme.io/foo\")"]
    problems = dns_subdomain(host)
    if not _fits_http_path(path):
        problems.append(regex_error("Invalid path", _HTTP_PATH))
    return problems


def http_header(text: str) -> list[str]:
    if _fits_header(text):
        return []
    return [regex_error("a valid HTTP header must consist of alphanumeric characters or '-'", _HEADER, "X-Header-Name")]


def percentage(text: str) -> list[str]:
    if _fits_percent(text):
        return []
    return [regex_error("a valid percent string must be a numeric string followed by an ending '%'", _PERCENT, "1%",
                        "93%")]


def port_name(text: str) -> list[str]:
    """IANA service names: at most 15 characters, at least one letter, no `--`."""
    problems = [f"must be no more than {15} characters"] if len(text) > 15 else []
    if not _fits_port_name(text):
        problems.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not any("a" <= char <= "z" for char in text):
        problems.append("must contain at least one letter (a-z)")
    if "--" in text:
        problems.append("must not contain consecutive hyphens")
    if text and (text[0] == "-" or text[-1] == "-"):
        problems.append("must not begin or end with a hyphen")
    return problems


def port_number(number: int) -> list[str]:
    return [] if 1 <= number <= 65535 else ["must be between 1 and 65535, inclusive"]
