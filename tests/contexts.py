"""The build context that the Dockerfiles in tests/dockerfiles/ copy from: made here, since git keeps neither modes
nor owners nor hard links."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

ARGS = {"GIVEN": "from the command line", "TAG": "1"}
SECRETS = {"token": b"xyzzy"}
OPTIONS = ["--build-arg", "GIVEN=from the command line", "--build-arg", "TAG=1", "--secret",
           f"id=token,src={os.environ.get('TMPDIR', '/tmp')}/kit-build-token"]
IGNORE = """# comment
*.log
!keep.log
**/cache
docs
!docs/keep
docs/keep/no.txt
"""


def make(root: Path) -> Path:
    Path(OPTIONS[-1].partition("src=")[2]).write_bytes(SECRETS["token"])
    files = {"a.txt": "a\n", "b.txt": "b\n", "run.sh": "#!/bin/sh\necho ran\n", "private": "mine\n", "x.log": "log",
             "keep.log": "kept", "dir/one": "1", "dir/two.txt": "2", "dir/sub/three": "3", "dir/cache/no": "no",
             "docs/gone": "gone", "docs/keep/yes.txt": "yes", "docs/keep/no.txt": "no", "dir2/four": "4",
             "with space.txt": "space", "[odd].txt": "odd", "dir/.hidden": "h", "empty/deeper/.keep": ""}
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o644)
    (root / ".dockerignore").write_text(IGNORE)
    (root / "run.sh").chmod(0o755)
    (root / "private").chmod(0o600)
    (root / "dir/sub").chmod(0o750)
    (root / "dir/suid").write_text("s")
    (root / "dir/suid").chmod(0o4755)
    (root / "dir/link").symlink_to("one")
    (root / "dir/absolute").symlink_to("/etc/passwd")
    (root / "dir/dangling").symlink_to("nowhere")
    (root / "linkdir").symlink_to("dir")
    (root / "linkfile").symlink_to("a.txt")
    (root / "dir/empty").mkdir()
    if os.geteuid() == 0:
        os.chown(root / "b.txt", 1234, 1234)
    for path, mode in (("plain.tar", "w"), ("zipped.tar.gz", "w:gz"), ("packed.tar.xz", "w:xz"),
                       ("b.tar.bz2", "w:bz2")):
        (root / path).write_bytes(archive(mode))
    (root / "broken.tar.gz").write_bytes(b"\x1f\x8b\x08\x00 this is not gzip at all")
    for path in sorted(root.rglob("*")):
        os.utime(path, (1_500_000_000, 1_500_000_000), follow_symlinks=False)
    return root


def archive(mode: str) -> bytes:
    out, whose = io.BytesIO(), {"mode": 0o640, "uid": 7, "gid": 8}
    with tarfile.open(fileobj=out, mode=mode) as tar:
        for name, kind, more in (("in", tarfile.DIRTYPE, {"mode": 0o711, "uid": 7, "gid": 8}),
                                 ("in/file", tarfile.REGTYPE, {**whose, "size": 2}),
                                 ("in/hard", tarfile.LNKTYPE, {**whose, "linkname": "in/file"}),
                                 ("in/soft", tarfile.SYMTYPE, {"linkname": "file", "mode": 0o777}),
                                 ("deep/er/file", tarfile.REGTYPE, {"mode": 0o755, "size": 2})):
            info = tarfile.TarInfo(name)
            info.type, info.mtime = kind, 1_400_000_000
            for key, value in more.items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(b"ok"[:info.size]))
    return out.getvalue()
