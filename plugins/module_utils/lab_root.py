"""The root file system of one lab host: the base image below, what the host writes above."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

Run = Callable[..., tuple[int, str, str]]
"""`AnsibleModule.run_command`."""


class Root:
    """`<directory>/root`: an overlay over the image, or a copy of it where overlayfs refuses.

    `<directory>/image` names the image; `<directory>/upper` holds what the host wrote, and is not
    there if the root is a copy.
    """

    def __init__(self, directory: Path, image: Path) -> None:
        self.path = directory / "root"
        self._directory = directory
        self._image = image
        self._record = directory / "image"
        self._upper = directory / "upper"
        self._work = directory / "work"

    def is_foreign(self) -> bool:
        """Tell whether what is there was made from another image, or not finished."""
        if not self._directory.exists():
            return False
        recorded = self._record.read_text(encoding="utf-8") if self._record.exists() else ""
        return recorded != str(self._image)

    def is_ready(self) -> bool:
        """Tell whether a host can be started from `path`."""
        is_copy = self.path.exists() and not self._upper.exists()
        return not self.is_foreign() and (is_copy or is_mounted(self.path))

    def assemble(self, run: Run) -> None:
        """Mount the overlay (or copy the image), keeping what the host wrote before.

        Raises:
            OSError: the directories cannot be made.
        """
        if self.is_ready():
            return
        for directory in (self._upper, self._work, self.path):
            directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._record.write_text(str(self._image), encoding="utf-8")
        layers = f"lowerdir={self._image},upperdir={self._upper},workdir={self._work}"
        code, _, _ = run(["mount", "-t", "overlay", "-o", layers, "askfleet-lab", str(self.path)])
        if code:
            self._copy(run)

    def discard(self, run: Run) -> None:
        """Unmount and remove everything, the directory included."""
        while is_mounted(self.path):
            run(["umount", str(self.path)], check_rc=True)
        if self._directory.exists():
            shutil.rmtree(self._directory)

    def _copy(self, run: Run) -> None:
        partial = self._directory / "root.partial"
        for directory in (partial, self.path, self._upper, self._work):
            if directory.exists():
                shutil.rmtree(directory)
        run(["cp", "-a", "--reflink=auto", str(self._image), str(partial)], check_rc=True)
        partial.rename(self.path)


def is_mounted(path: Path) -> bool:
    """Tell whether something is mounted on `path`."""
    mounts = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    return any(line.split()[1] == str(path) for line in mounts)
