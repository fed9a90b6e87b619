"""StorageClasses and the kinds of CSI.

Source: k8s.io/kubernetes/pkg/apis/storage/validation.
"""

from __future__ import annotations

from kitlib.api.validation.common import Errors, Obj, each, immutable, label_selector, not_negative_quantity, one_of
from kitlib.api.validation.pod_volumes import csi_driver_name
from kitlib.objects import field, names

_MAX_PARAMETERS = 256 * 1024
_MOST_PARAMETERS = 512


def create_storageclass(errs: Errors, obj: Obj) -> None:
    provisioner = obj.get("provisioner", "")
    if not provisioner:
        errs.append(field.required("provisioner"))
    else:
        each(errs, "provisioner", provisioner, names.qualified_name(provisioner.lower()))
    _parameters(errs, obj)
    one_of(errs, "reclaimPolicy", obj.get("reclaimPolicy"), ("Delete", "Retain"), False)
    one_of(errs, "volumeBindingMode", obj.get("volumeBindingMode"), ("Immediate", "WaitForFirstConsumer"))
    for index, term in enumerate(obj.get("allowedTopologies") or ()):
        for number, expression in enumerate(term.get("matchLabelExpressions") or ()):
            at = f"allowedTopologies[{index}].matchLabelExpressions[{number}]"
            each(errs, f"{at}.key", expression.get("key", ""), names.qualified_name(expression.get("key", "")))
            if not expression.get("values"):
                errs.append(field.required(f"{at}.values"))


def _parameters(errs: Errors, obj: Obj) -> None:
    parameters = obj.get("parameters") or {}
    if len(parameters) > _MOST_PARAMETERS:
        errs.append(field.too_long("parameters", _MOST_PARAMETERS))
        return
    for key in parameters:
        if not key:
            errs.append(field.invalid("parameters", key, "field can not be empty."))
    if sum(len(key) + len(value) for key, value in parameters.items()) > _MAX_PARAMETERS:
        errs.append(field.too_long("parameters", _MAX_PARAMETERS))


def update_storageclass(errs: Errors, new: Obj, old: Obj) -> None:
    if (new.get("parameters") or {}) != (old.get("parameters") or {}):
        errs.append(field.forbidden("parameters", "updates to parameters are forbidden."))
    for name in ("provisioner", "reclaimPolicy", "volumeBindingMode"):
        immutable(errs, name, new.get(name), old.get(name))


def create_csidriver(errs: Errors, obj: Obj) -> None:
    csi_driver_name(errs, "metadata.name", obj["metadata"].get("name", ""))
    spec = obj.get("spec") or {}
    for name in ("attachRequired", "podInfoOnMount", "storageCapacity"):
        if spec.get(name) is None:
            errs.append(field.required(f"spec.{name}"))
    one_of(errs, "spec.fsGroupPolicy", spec.get("fsGroupPolicy"), ("File", "None", "ReadWriteOnceWithFSType"), False)
    for mode in spec.get("volumeLifecycleModes") or ():
        one_of(errs, "spec.volumeLifecycleModes", mode, ("Ephemeral", "Persistent"))


def update_csidriver(errs: Errors, new: Obj, old: Obj) -> None:
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    for name in ("attachRequired", "volumeLifecycleModes"):
        immutable(errs, f"spec.{name}", spec.get(name), before.get(name))


def create_csinode(errs: Errors, obj: Obj) -> None:
    seen = set()
    for index, driver in enumerate((obj.get("spec") or {}).get("drivers") or ()):
        at = f"spec.drivers[{index}]"
        csi_driver_name(errs, f"{at}.name", driver.get("name", ""))
        if driver.get("name") in seen:
            errs.append(field.duplicate(f"{at}.name", driver.get("name")))
        seen.add(driver.get("name"))
        if not driver.get("nodeID"):
            errs.append(field.required(f"{at}.nodeID"))


def create_csistoragecapacity(errs: Errors, obj: Obj) -> None:
    name = obj.get("storageClassName", "")
    each(errs, "storageClassName", name, names.dns_subdomain(name))
    label_selector(errs, "nodeTopology", obj.get("nodeTopology"))
    for key in ("capacity", "maximumVolumeSize"):
        if obj.get(key) is not None:
            not_negative_quantity(errs, key, obj[key])


def update_csistoragecapacity(errs: Errors, new: Obj, old: Obj) -> None:
    for name in ("nodeTopology", "storageClassName"):
        immutable(errs, name, new.get(name), old.get(name))


def create_volumeattachment(errs: Errors, obj: Obj) -> None:
    spec = obj.get("spec") or {}
    if not spec.get("attacher"):
        errs.append(field.required("spec.attacher"))
    source = spec.get("source") or {}
    found = [name for name in ("inlineVolumeSpec", "persistentVolumeName") if source.get(name)]
    if not found:
        errs.append(field.required("spec.source", "must specify exactly one of inlineVolumeSpec and "
                                   "persistentVolumeName"))
    elif len(found) > 1:
        errs.append(field.forbidden("spec.source", "must specify exactly one of inlineVolumeSpec and "
                                    "persistentVolumeName"))
    node = spec.get("nodeName", "")
    each(errs, "spec.nodeName", node, names.dns_subdomain(node))


def update_volumeattachment(errs: Errors, new: Obj, old: Obj) -> None:
    immutable(errs, "spec", new.get("spec"), old.get("spec"))


def create_volumeattributesclass(errs: Errors, obj: Obj) -> None:
    if not obj.get("driverName"):
        errs.append(field.required("driverName"))
    _parameters(errs, obj)


def update_volumeattributesclass(errs: Errors, new: Obj, old: Obj) -> None:
    for name in ("driverName", "parameters"):
        immutable(errs, name, new.get(name), old.get(name))
