"""Release, units and settings of a host's services: what is wanted, in place, was there before."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from ansible_collections.askfleet.fleet.plugins.module_utils.host import keep_link, point_link

ENDS = (".socket", ".service")
# Second names of the files in place before a rollout.
_KEPT = {"units": ".askfleet-*.before", "settings": ".*.env.before"}


class Files:
    """The files of the services: what is wanted, what is in place, what was in place before."""

    def __init__(self, params: dict[str, Any]) -> None:
        self._state = Path(params["state_dir"])
        self.places = {"units": Path(params["unit_dir"]), "settings": Path(params["config_dir"])}
        self.link = Path(params["install_dir"]) / "current"
        self.release = Path(params["install_dir"]) / "releases" / params["release"]
        self._before = self._state / "before"

    def wanted(self) -> dict[Path, bytes]:
        """Return every file in C(next), by the place where it should be."""
        return {
            place / path.name: path.read_bytes()
            for kind, place in self.places.items()
            for path in sorted((self._state / "next" / kind).glob("*"))
        }

    def unwanted(self) -> list[Path]:
        """Return the unit files in place that nobody wants any more."""
        wanted = self.wanted()
        return [
            p
            for p in sorted(self.places["units"].glob("askfleet-*"))
            if p.is_file() and p not in wanted
        ]

    def stale(self) -> list[Path]:
        """Return the places whose file is not the wanted one."""
        return [p for p, text in self.wanted().items() if not p.exists() or p.read_bytes() != text]

    def remember(self, run_id: str) -> None:
        """Keep what is in place, as the state before this run; raises OSError where it cannot.

        A file is kept under a second name beside it, so that the way back is a rename, which a
        full disk does not stop.
        """
        self.forget()
        self._before.mkdir(parents=True)
        for path in self.wanted():
            if path.exists():
                os.link(path, _kept(path))
        keep_link(self.link)
        target = str(self.link.readlink()) if self.link.is_symlink() else ""
        (self._before / "release").write_text(target, encoding="utf-8")
        (self._before / "run").write_text(run_id, encoding="utf-8")

    def remembers(self, run_id: str) -> bool:
        """Whether what is remembered is the state before this run."""
        marker = self._before / "run"
        return marker.exists() and marker.read_text(encoding="utf-8") == run_id

    def new_units(self) -> list[Path]:
        """Return the wanted units, sockets first, that were not in place before this run."""
        new = [path for path in self.wanted() if path.suffix in ENDS and not _kept(path).exists()]
        return sorted(new, key=lambda path: ENDS.index(path.suffix))

    def put(self) -> None:
        """Put the wanted files and the link in place."""
        for path, text in self.wanted().items():
            if path in self.stale():
                _write(
                    path, text, 0o640 if path.suffix == ".env" else 0o644, self.places["settings"]
                )
        point_link(self.link, str(self.release))

    def put_back(self) -> None:
        """Put what is remembered in place again; what was not there goes."""
        for path in self.wanted():
            kept = _kept(path)
            if kept.exists():
                kept.replace(path)
            else:
                path.unlink(missing_ok=True)
        target = (self._before / "release").read_text(encoding="utf-8")
        if target:
            point_link(self.link, target)

    def forget(self) -> None:
        """Drop what is remembered."""
        for kind, place in self.places.items():
            for kept in place.glob(_KEPT[kind]):
                with suppress(OSError):
                    kept.unlink()
        shutil.rmtree(self._before, ignore_errors=True)


def _write(path: Path, text: bytes, mode: int, like: Path) -> None:
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(text)
    new.chmod(mode)
    if path.parent == like:
        shutil.chown(new, group=like.group())
    new.replace(path)


def _kept(path: Path) -> Path:
    return path.with_name(f".{path.name}.before")
