"""Resources that are questions, not objects: reviews, bindings at the old path, metrics, component statuses.

Nothing of them is stored.  Each POST (or GET) is answered out of what the server knows.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from kitlib.api.call import Call
from kitlib.api.request import Answer
from kitlib.objects.errors import StatusError, no_such_path

Handler = Callable[[Call], Answer]

# resource -> verb -> module, function
HANDLERS: dict[str, dict[str, tuple[str, str]]] = {
    "selfsubjectreviews.authentication.k8s.io": {"create": ("auth.reviews", "self_subject_review")},
    "tokenreviews.authentication.k8s.io": {"create": ("auth.reviews", "token_review")},
    "selfsubjectaccessreviews.authorization.k8s.io": {"create": ("auth.access", "self_subject_access_review")},
    "subjectaccessreviews.authorization.k8s.io": {"create": ("auth.access", "subject_access_review")},
    "localsubjectaccessreviews.authorization.k8s.io": {"create": ("auth.access", "local_subject_access_review")},
    "selfsubjectrulesreviews.authorization.k8s.io": {"create": ("auth.access", "self_subject_rules_review")},
    "bindings": {"create": ("subresources.binding", "binding")},
    "componentstatuses": {"get": ("components", "get"), "list": ("components", "list_")},
    "nodes.metrics.k8s.io": {"get": ("usage", "get"), "list": ("usage", "list_")},
    "pods.metrics.k8s.io": {"get": ("usage", "get"), "list": ("usage", "list_")},
}


def handler_of_virtual(call: Call) -> Handler:
    """The function that answers.  Raises 404 or 405 for what there is not."""
    verbs = HANDLERS.get(call.kind.resource, {})
    found = verbs.get(call.verb)
    if found is None:
        if call.name:
            raise no_such_path()
        raise StatusError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource",
                          {})
    module, function = found
    handler: Handler = getattr(import_module(f"kitlib.api.{module}"), function)
    return handler
