"""Jobs: a selector and labels made of the Job's own uid, so that no two Jobs fight for a Pod.

Source: k8s.io/kubernetes/pkg/registry/batch/job/strategy.go (generateSelector).
"""

from __future__ import annotations

from kitlib.api.call import Call
from kitlib.api.strategies.base import Obj, Strategy

UID_LABEL, NAME_LABEL = "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"
OLD_UID_LABEL, OLD_NAME_LABEL = "controller-uid", "job-name"
MAX_LABEL = 63


class JobStrategy(Strategy):
    """The strategy of Jobs."""

    def prepare_create(self, call: Call, obj: Obj) -> None:
        spec, meta = obj["spec"], obj["metadata"]
        if spec.get("manualSelector"):
            return
        template = spec.setdefault("template", {}).setdefault("metadata", {})
        labels = template.setdefault("labels", {})
        selector = spec.setdefault("selector", {}).setdefault("matchLabels", {})
        name = meta.get("name", "")  # without one, validation will have something to say
        wanted = {UID_LABEL: meta["uid"], OLD_UID_LABEL: meta["uid"], NAME_LABEL: name, OLD_NAME_LABEL: name}
        for key, value in wanted.items():
            # Names longer than a label may be are left out; the uid is what counts.
            if len(value) <= MAX_LABEL or key in (UID_LABEL, OLD_UID_LABEL):
                labels.setdefault(key, value)
        selector.setdefault(UID_LABEL, meta["uid"])
        if not meta.get("labels"):
            meta["labels"] = dict(labels)
