"""`Listing`: the entries of a folder, and which of them a pass has to inspect."""

from __future__ import annotations

import os

PASSES = 8  # in which every entry is inspected at least once


class Listing:
    """The entries of a folder that changes little from pass to pass.

    The kernel lists each entry with an inode, which takes no system call for each entry. In /proc a
    pid that is reused has another inode, and in a tmpfs a name that is created again. So a pass
    inspects only

    - the entries that are new, and those that were new in the last pass: a process may be about to
      enter its namespace when it is first inspected, and a file may be about to become a mount;
    - an eighth of the others by a hash of the name, so that each is inspected every eighth pass;
    - those in `again`.

    Attributes:
        again: the names to inspect in the next pass.
    """

    __slots__ = ("_inodes", "_passes", "_path", "_turns", "again")

    def __init__(self, path: str) -> None:
        self._path = path
        self._inodes: dict[str, int] = {}
        self._passes = 0
        self._turns: list[set[str]] = [set() for _ in range(PASSES)]
        self.again: set[str] = set()

    def __contains__(self, name: str) -> bool:
        """Whether the last pass has listed this name."""
        return name in self._inodes

    def read(self, is_whole: bool) -> tuple[list[str], set[str]]:
        """Lists the folder.

        Parameters:
            is_whole: whether to inspect every entry.

        Returns:
            The names to inspect, in the order of the listing, and the names that have disappeared.

        Raises:
            OSError: the folder cannot be listed.
        """
        with os.scandir(self._path) as entries:
            inodes = {entry.name: entry.inode() for entry in entries}
        before, turns = self._inodes, self._turns
        gone = before.keys() - inodes.keys()
        for name in gone:
            turns[hash(name) % PASSES].discard(name)
        new: set[str] = set()
        if list(map(before.get, inodes)) != list(inodes.values()):  # the quick way to find none
            new = {name for name, inode in inodes.items() if before.get(name) != inode}
        for name in new:
            turns[hash(name) % PASSES].add(name)
        self._passes += 1
        due = turns[self._passes % PASSES] | new | (self.again & inodes.keys())
        self._inodes, self.again = inodes, new
        return [name for name in inodes if is_whole or name in due], gone
