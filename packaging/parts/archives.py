"""How does a folder become an archive whose bytes depend on nothing else?"""

import gzip
import io
import tarfile
import time
import zipfile
from pathlib import Path

from .layout import Stage


def tar_gz(stage: Stage, path: Path) -> Path:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for entry in sorted(stage.entries, key=lambda entry: entry.installed):
            member = tarfile.TarInfo(entry.installed)
            data = entry.source.read_bytes()
            member.size, member.mode, member.mtime = len(data), entry.mode, stage.release.epoch
            member.uname = member.gname = "root"
            archive.addfile(member, io.BytesIO(data))
    path.write_bytes(gzip.compress(raw.getvalue(), 9, mtime=0))
    return path


def zip_(stage: Stage, path: Path) -> Path:
    made = time.gmtime(stage.release.epoch)[:6]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for entry in sorted(stage.entries, key=lambda entry: entry.installed):
            member = zipfile.ZipInfo(entry.installed, made)
            member.create_system = 3  # Unix: the mode counts
            member.external_attr = (0o100000 | entry.mode) << 16
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, entry.source.read_bytes(), compresslevel=9)
    return path
