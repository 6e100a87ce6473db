"""The public repositories of quality_corpora.toml, on this machine as git repositories.

    python -m tests.bench.quality_corpora           all, one line each: name, folder, commit
    python -m tests.bench.quality_corpora head      those of one use
    python -m tests.bench.quality_corpora ryl       one of them

Archives come through pip and npm, are only read, never installed or run, and are checked
against the digests in quality_corpora.lock. They and the repositories lie in the user's cache
folder. Equal archives make equal commits, down to their names.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from codebuddy import paths

LIST = Path(__file__).with_name("quality_corpora.toml")
LOCK = Path(__file__).with_name("quality_corpora.lock")
# Built from sources that lie beside it, or no text.
_LEFT_OUT_FOLDERS = frozenset({"dist", "node_modules", "__pycache__", ".venv"})
_LEFT_OUT_SUFFIXES = (".map", ".d.ts", ".d.cts", ".d.mts", ".min.js", ".png", ".gif", ".whl", ".so")
_MAX_FILE_BYTES = 1_000_000
_MAX_ARCHIVE_BYTES = 50_000_000
_MAX_TOTAL_BYTES = 200_000_000
_DAY = datetime.date(2026, 1, 1)


@dataclass(frozen=True, slots=True)
class Corpus:
    """A repository by its published versions; `use` is `bench` or `head`."""

    name: str
    use: str
    registry: str
    package: str
    versions: tuple[str, ...]
    languages: tuple[str, ...]
    source: str
    first_commit: datetime.date


def load_corpora() -> list[Corpus]:
    """Every corpus of the list."""
    entries = tomllib.loads(LIST.read_text(encoding="utf-8"))["corpus"]
    return [
        Corpus(
            **{
                **entry,
                "versions": tuple(entry["versions"]),
                "languages": tuple(entry["languages"]),
            }
        )
        for entry in entries
    ]


def make_repository(corpus: Corpus, cache: Path) -> Path:
    """The corpus as a git repository below `cache`; made once, then found again."""
    target = cache / "repositories" / corpus.name
    mark = target / ".git" / "quality-versions"
    wanted = " ".join(corpus.versions)
    if mark.is_file() and mark.read_text() == wanted:
        return target
    archives = [fetch(corpus, version, cache / "archives") for version in corpus.versions]
    if target.exists():
        shutil.rmtree(target)
    target.mkdir(parents=True)
    _git(target, "init", "--quiet", "--initial-branch=main")
    for number, (version, archive) in enumerate(zip(corpus.versions, archives, strict=True)):
        for old in target.iterdir():
            if old.name != ".git":
                shutil.rmtree(old) if old.is_dir() else old.unlink()
        for name, content in source_files(archive):
            file = target / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        _git(target, "add", "--all", "--force")
        when = f"{_DAY + datetime.timedelta(days=number)}T00:00:00+00:00"
        _git(target, "commit", "--quiet", "--message", f"{corpus.package} {version}", when=when)
    mark.write_text(wanted)
    return target


def fetch(corpus: Corpus, version: str, folder: Path) -> bytes:
    """The archive of one version, from `folder` or its registry; its digest is checked."""
    folder.mkdir(parents=True, exist_ok=True)
    key = f"{corpus.registry}:{corpus.package}=={version}"
    file = folder / (hashlib.sha256(key.encode()).hexdigest()[:24] + ".tgz")
    content = file.read_bytes() if file.is_file() else _download(corpus, version)
    digest = hashlib.sha256(content).hexdigest()
    known = json.loads(LOCK.read_text()) if LOCK.is_file() else {}
    if known.get(key, digest) != digest:
        file.unlink(missing_ok=True)
        raise SystemExit(f"{key} is not what was measured: its digest is {digest}")
    if key not in known:
        LOCK.write_text(json.dumps({**known, key: digest}, indent=1, sort_keys=True) + "\n")
    if not file.is_file():
        partial = file.with_suffix(f".{os.getpid()}")
        partial.write_bytes(content)
        partial.replace(file)
    return content


def source_files(archive: bytes) -> Iterator[tuple[str, bytes]]:
    """The regular files of an archive below its one folder, but what is built or no source."""
    total = 0
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        for member in opened:
            parts = PurePosixPath(member.name).parts[1:]
            name = "/".join(parts)
            is_safe = parts and not {"..", ".git", "/"} & set(parts) and "\\" not in name
            if not member.isfile() or not is_safe or member.size > _MAX_FILE_BYTES:
                continue
            if _LEFT_OUT_FOLDERS & set(parts) or name.endswith(_LEFT_OUT_SUFFIXES):
                continue
            total += member.size
            if total > _MAX_TOTAL_BYTES:
                raise SystemExit("an archive unpacks into too much")
            stream = opened.extractfile(member)
            if stream is not None:
                yield name, stream.read()


def _download(corpus: Corpus, version: str) -> bytes:
    """An archive's bytes; pip would build a source archive to download it, so its finder is asked.

    In processes of their own, so that neither tool's state meets ours.
    """
    with tempfile.TemporaryDirectory() as scratch:
        if corpus.registry == "npm":
            command = ["npm", "pack", "--silent", "--ignore-scripts", f"{corpus.package}@{version}"]
        else:
            command = [sys.executable, "-c", _PIP_PROGRAM, corpus.package, version]
        done = subprocess.run(
            command, cwd=scratch, capture_output=True, text=True, timeout=600, check=False
        )
        found = [file for file in Path(scratch).iterdir() if file.suffix in (".tgz", ".gz")]
        if done.returncode or len(found) != 1:
            last = (done.stderr.strip() or "no archive").splitlines()[-1]
            raise SystemExit(f"cannot download {corpus.package} {version}: {last}")
        if found[0].stat().st_size > _MAX_ARCHIVE_BYTES:
            raise SystemExit(f"{corpus.package} {version} is too large")
        return found[0].read_bytes()


_PIP_PROGRAM = """
import pathlib, sys
from pip._internal.commands import create_command
command = create_command("download")
options, _ = command.parse_args(["x", "--no-deps", "--no-binary", ":all:"])
with command.main_context():
    session = command.get_default_session(options)
    finder = command._build_package_finder(options=options, session=session)
    found = [c for c in finder.find_all_candidates(sys.argv[1]) if str(c.version) == sys.argv[2]]
    if not found:
        sys.exit("there is no source archive of this version")
    link = found[0].link
    answer = session.get(link.url_without_fragment)
    answer.raise_for_status()
    pathlib.Path(pathlib.PurePosixPath(link.filename).name).write_bytes(answer.content)
"""


def _git(folder: Path, *arguments: str, when: str = "") -> str:
    """git with nothing of the user's configuration, so that commits get the same names anywhere."""
    environment = {name: value for name, value in os.environ.items() if name[:4] != "GIT_"}
    environment |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    for role in ("AUTHOR", "COMMITTER"):
        environment |= {
            f"GIT_{role}_NAME": "corpus",
            f"GIT_{role}_EMAIL": "corpus@example.org",
            f"GIT_{role}_DATE": when,
        }
    settings = ("-c", "core.autocrlf=false", "-c", f"core.hooksPath={os.devnull}")
    done = subprocess.run(
        ["git", "-C", str(folder), *settings, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def default_cache() -> Path:
    """Where archives and repositories are kept: outside any repository."""
    return paths.cache_folder() / "quality"


def main() -> None:
    """Make the corpora that are asked for and say where they are."""
    parser = argparse.ArgumentParser()
    parser.add_argument("which", nargs="*", help="names, or bench or head; all by default")
    parser.add_argument("--cache", type=Path, default=default_cache())
    arguments = parser.parse_args()
    for corpus in load_corpora():
        if not arguments.which or {corpus.name, corpus.use} & set(arguments.which):
            folder = make_repository(corpus, arguments.cache)
            commit = _git(folder, "rev-parse", "HEAD")
            print(f"{corpus.use} {corpus.name} {folder} {commit}", flush=True)


if __name__ == "__main__":
    main()
