"""batch: Pods that are meant to end.

Source: pkg/registry/batch/rest/storage_batch.go; pkg/apis/batch/v1/conversion.go.
"""

from __future__ import annotations

from kitlib.api.kind import STATUS, Kind, SelectableField

KINDS = (
    Kind("batch", "v1", "CronJob", "cronjobs", short_names=("cj",), categories=("all",), generation=True,
         subresources=(STATUS,)),
    Kind("batch", "v1", "Job", "jobs", categories=("all",), generation=True, subresources=(STATUS,),
         orphan_by_default=True,
         selectable=(SelectableField("status.successful", "status.succeeded", default="0"),)),
)
