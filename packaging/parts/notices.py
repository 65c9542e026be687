"""Whose work is in the program, and under which terms may it be passed on?"""

import hashlib
import html
import re
import subprocess
from pathlib import Path

from .failed import Failed
from .release import Release

NAMED = re.compile(r"(un)?licen[cs]e|copying|notice|copyright", re.IGNORECASE)
RULE = "\n" + "=" * 78 + "\n"


def notices(release: Release) -> str:
    """Every crate by name, version and licence, then each text once."""
    texts, crates = {}, []
    for name, version, licence, folder in release.crates:
        numbers = sorted({keep(texts, path.read_text("utf-8", "replace")) for path in licences(folder)})
        where = f"; see {', '.join(map(str, numbers))}" if numbers else ""
        crates.append(f"{name} {version}: {licence}{where}")
    number = keep(texts, of_the_standard_library())
    crates.append(f"Rust's standard library: MIT OR Apache-2.0; see {number}")
    head = (
        "rehome is under the Apache License 2.0. The program contains the work of\n"
        "others as well, each under its own terms. The numbers are those of the texts\n"
        "below; a crate without one names a well-known licence and brings no text.\n\n"
    )
    bodies = [f"{RULE}{number}{RULE}\n{text}" for number, text in texts.values()]
    return head + "\n".join(crates) + "\n" + "".join(bodies)


def licences(folder: Path) -> list:
    return sorted(path for path in folder.iterdir() if path.is_file() and NAMED.match(path.name))


def of_the_standard_library() -> str:
    """Rust says it as a page for browsers; here it is read as text."""
    asked = ["rustc", "--print", "sysroot"]
    sysroot = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
    page = Path(sysroot) / "share" / "doc" / "rust" / "COPYRIGHT-library.html"
    if not page.exists():
        raise Failed(f"{page} is not there, so the packages would lack the notices of Rust's standard library")
    text = html.unescape(re.sub(r"<[^>]*>", "", page.read_text("utf-8")))
    return re.sub(r"\n\s*\n+", "\n\n", text)


def keep(texts: dict, text: str) -> int:
    """The text's number; the same text has one, however it is indented."""
    text = text.replace("\r\n", "\n").strip() + "\n"
    same = hashlib.sha256(" ".join(text.split()).encode()).digest()
    return texts.setdefault(same, (len(texts) + 1, text))[0]
