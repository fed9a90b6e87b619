"""Small images for tests, made by hand: a list of layers, each a list of tar entries."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kitlib.images.descriptor import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, digest_of

Entry = tuple[str, Any]  # name and: bytes (a file), None (a directory), "-> x" (a link), "= x" (a hard link)


def layer(*entries: Entry, **more: Any) -> bytes:
    """A tar.  more: attributes of every TarInfo."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in entries:
            info = tarfile.TarInfo(name)
            info.mode = 0o755 if content is None else 0o644
            if content is None:
                info.type = tarfile.DIRTYPE
            elif isinstance(content, str) and content[:3] == "-> ":
                info.type, info.linkname = tarfile.SYMTYPE, content[3:]
            elif isinstance(content, str) and content[:2] == "= ":
                info.type, info.linkname = tarfile.LNKTYPE, content[2:]
            elif isinstance(content, bytes):
                info.size = len(content)
            for key, value in more.items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    return out.getvalue()


def config(layers: Sequence[bytes], *, history: Any = None, **settings: Any) -> bytes:
    return json.dumps({"architecture": "amd64", "os": "linux", "config": settings,
                       "rootfs": {"type": "layers", "diff_ids": [digest_of(one) for one in layers]},
                       "history": history or [{"created_by": f"layer {i}"} for i, _ in enumerate(layers)]}).encode()


def docker_archive(path: Path, layers: Sequence[bytes], *names: str, **settings: Any) -> Path:
    """As `docker save` wrote it before version 25."""
    files = {"config.json": config(layers, **settings)}
    files |= {f"{i}/layer.tar": one for i, one in enumerate(layers)}
    files["manifest.json"] = json.dumps([{"Config": "config.json", "RepoTags": list(names),
                                          "Layers": [f"{i}/layer.tar" for i, _ in enumerate(layers)]}]).encode()
    path.write_bytes(layer(*files.items()))
    return path


def oci_layout(root: Path, layers: Sequence[bytes], name: str = "", compress: Any = gzip.compress,
               **settings: Any) -> Path:
    """A directory with an OCI image layout; layers compressed."""
    blobs = root / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(data: bytes, media_type: str) -> dict[str, Any]:
        (blobs / digest_of(data)[7:]).write_bytes(data)
        return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}

    manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": put(config(layers, **settings), OCI_CONFIG),
                "layers": [put(compress(one), OCI_LAYER + "+gzip") for one in layers]}
    entry = put(json.dumps(manifest).encode(), OCI_MANIFEST)
    if name:
        entry["annotations"] = {"io.containerd.image.name": name}
    (root / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (root / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    return root


def tree(root: Path) -> dict[str, str]:
    """Every path below a directory: a file's text, a link's target, or "/" for a directory."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        else:
            found[name] = "/" if path.is_dir() else path.read_text(errors="replace") if path.stat().st_size < 10_000 \
                else "large"
    return found
