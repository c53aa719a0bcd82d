"""Builds what is delivered to people with Python, and to people with neither Python nor Rust. `cargo xtask python` calls it.

Two wheels: `fltk`, which is Python alone, and `fltk_program`, which carries the program and takes libtorch from the package `torch`. With --tar also an
archive of the program and the libraries that it loads. The same inputs give the same bytes.
"""

from __future__ import annotations

import argparse
import gzip
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import NoReturn

HERE = Path(__file__).resolve().parent
# The programs, of which the first starts the second.
PROGRAMS = ("fltk", "fltk-torch")
# The folder of torch's libraries, from the folder of the programs in an environment, and from that in the archive.
BESIDE_TORCH = "$ORIGIN/../../torch/lib"
IN_ARCHIVE = "$ORIGIN/../lib"
# The time of all files: the first that an archive of wheels can hold.
EPOCH = 315532800
# The version of glibc that came with each version of libstdc++ that a policy of manylinux allows: the name of a wheel says glibc's alone. From the policies
# of auditwheel 6.
GLIBC_OF_GLIBCXX = {24: 27, 28: 31, 29: 34, 30: 35, 33: 39}
# The libraries that every Linux has: their versions are those that the name of the wheel promises.
OF_SYSTEM = re.compile(r"(ld-linux.*|lib(c|m|dl|rt|pthread|util|stdc\+\+|gcc_s))\.so\.[0-9]+")


def fail(message: str) -> NoReturn:
    sys.exit(f"error: {message}")


def run(*command: str | Path, folder: Path | None = None) -> str:
    try:
        return subprocess.run(list(map(str, command)), check=True, cwd=folder, text=True, stdout=subprocess.PIPE).stdout
    except FileNotFoundError:
        fail(f"there is no program `{command[0]}`\nhint: on Debian the package `{'binutils' if command[0] == 'strip' else command[0]}` has it")
    except subprocess.CalledProcessError as error:
        fail(f"`{' '.join(map(str, command))}` failed with exit code {error.returncode}")


def forget(content: bytes, paths: list[str]) -> bytes:
    """Replace the folders of this machine, which compilers put into programs, by as many bytes that are the same everywhere."""
    for path in sorted((path.encode() for path in paths), key=len, reverse=True):
        if len(path) > len(b"/usr/src"):
            content = content.replace(path, b"/usr/src".ljust(len(path), b"/"))
    return content


def place(programs: Path, folder: Path, search: str, paths: list[str]) -> None:
    """Put the programs into a folder, without debug information and paths of this machine, such that they look for libtorch in `search`."""
    folder.mkdir(parents=True)
    for name in PROGRAMS:
        to = folder / name
        if not (programs / name).is_file():
            fail(f"there is no `{programs / name}`\nhint: `cargo build --release` builds both programs")
        run("strip", "--strip-all", "-o", to, programs / name)
        if run("patchelf", "--print-rpath", to).strip():
            # RPATH, not RUNPATH: what libtorch itself needs is looked for there too.
            run("patchelf", "--force-rpath", "--set-rpath", search, to)
        to.write_bytes(forget(to.read_bytes(), paths))
        to.chmod(0o755)


def needed_glibc(content: bytes) -> int:
    """Return the least glibc 2.N that has everything that a program asks for, and a libstdc++ that has."""
    glibc = [int(minor) for minor in re.findall(rb"\0GLIBC_2\.(\d+)", content)]
    glibcxx = max((int(minor) for minor in re.findall(rb"\0GLIBCXX_3\.4\.(\d+)", content)), default=0)
    of_libstdcxx = min((of for version, of in GLIBC_OF_GLIBCXX.items() if version >= glibcxx), default=None)
    if of_libstdcxx is None:
        fail(f"the program needs GLIBCXX_3.4.{glibcxx}, and no policy of manylinux is known that has it")
    return max([*glibc, of_libstdcxx])


def wheel(source: Path, out: Path) -> Path:
    """Build the wheel of a package's folder, which is changed by that."""
    before = set(out.glob("*.whl"))
    isolated: list[str] = ["--no-build-isolation"] if has_setuptools() else []
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps", *isolated, "--wheel-dir", str(out), str(source)]
    run(*command)
    made = sorted(set(out.glob("*.whl")) - before)
    if len(made) != 1:
        fail(f"`pip wheel` made {len(made)} wheels of `{source}`")
    return made[0]


def has_setuptools() -> bool:
    """Return whether this Python has a setuptools that builds the packages; otherwise pip gets one."""
    try:
        from importlib.metadata import version

        return int(version("setuptools").partition(".")[0]) >= 77
    except ImportError:
        return False


def copy(name: str, into: Path) -> Path:
    to = into / name
    shutil.copytree(HERE / name, to, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "build", "tests", ".*"))
    shutil.copy(HERE.parent / "LICENSE", to / "LICENSE")
    return to


def archive(programs: Path, out: Path, paths: list[str], work: Path) -> Path:
    """Pack the programs, the libraries that they load except for those of the system, and the license."""
    version = re.search(r'^version = "(.*)"', (HERE / "program/pyproject.toml").read_text(), re.MULTILINE)
    if version is None:
        fail(f"`{HERE}/program/pyproject.toml` has no version")
    name = f"fltk-{version[1]}-linux-{platform.machine()}"
    folder = work / name
    place(programs, folder / "bin", IN_ARCHIVE, paths)
    (folder / "lib").mkdir()
    # What is loaded here: the programs in their original place find libtorch.
    for line in run("ldd", programs / PROGRAMS[1]).splitlines():
        library, _, found = (part.strip() for part in line.partition("=>"))
        if found and not OF_SYSTEM.fullmatch(library):
            file = Path(found.rpartition(" (")[0])
            if not file.is_file():
                fail(f"`{library}` is not there, which the program loads")
            shutil.copyfile(file, folder / "lib" / library)
    shutil.copy(HERE.parent / "LICENSE", folder / "LICENSE")
    least = max(needed_glibc(path.read_bytes()) for path in folder.rglob("*") if path.is_file())
    (folder / "README.md").write_text((HERE / "archive.md").read_text().replace("GLIBC", f"2.{least}"))
    to = out / f"{name}.tar.gz"

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        member.mtime = EPOCH
        member.mode = 0o755 if member.isdir() or "/bin/" in member.name else 0o644
        return member

    with to.open("wb") as raw, gzip.GzipFile("", "wb", 6, raw, EPOCH) as packed, tarfile.open(fileobj=packed, mode="w") as tar:
        # Without `recursive` the order would be that of the file system.
        for path in [folder, *sorted(folder.rglob("*"))]:
            tar.add(path, str(path.relative_to(work)), recursive=False, filter=plain)
    return to


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=Path, required=True, help="the folder with the built programs")
    parser.add_argument("--out", type=Path, required=True, help="the folder for what is made")
    parser.add_argument("--forget", action="append", default=[], help="a folder of this machine that mustn't be in the programs")
    parser.add_argument("--tar", action="store_true", help="also make the archive of the program and its libraries")
    arguments = parser.parse_args()
    os.environ["SOURCE_DATE_EPOCH"] = str(EPOCH)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for old in [*arguments.out.glob("fltk*.whl"), *arguments.out.glob("fltk-*.tar.gz")]:
        old.unlink()
    with tempfile.TemporaryDirectory(prefix="fltk-wheels-") as temporary:
        work = Path(temporary)
        made = [wheel(copy("fltk", work), arguments.out)]
        program = copy("program", work)
        place(arguments.programs, program / "src/fltk_program/bin", BESIDE_TORCH, arguments.forget)
        least = max(needed_glibc((program / "src/fltk_program/bin" / name).read_bytes()) for name in PROGRAMS)
        (program / "setup.cfg").write_text(f"[bdist_wheel]\nplat_name = manylinux_2_{least}_{platform.machine()}\n")
        made.append(wheel(program, arguments.out))
        if arguments.tar:
            made.append(archive(arguments.programs, arguments.out, arguments.forget, work))
    for one in made:
        print(one)


if __name__ == "__main__":
    main()
