"""What the core costs on a target: code, data and stack, all read from its objects.

    footprint.py NAME FOLDER FRAME_EXTRA

FOLDER holds the files of csrc/sources as .o, compiled with -ffunction-sections and,
for the stack, clang's -fstack-size-section or gcc's -fstack-usage (a .su beside each). FRAME_EXTRA
is what a call pushes beyond the frames that the compiler reports: clang leaves out x86's return
address. Calls are read from the relocations of each function's section, which needs no
disassembler and so serves every target. libc's own frames are not in it.

Prints one row of the table in csrc/README.md.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PURE = ("name", "batch", "message", "link", "counters")
KERNEL = ("socket", "exchange", "name_cache", "operations")
LOOPBACK = (*PURE, *KERNEL)
OBJECTS = ("link_change", "address", "route", "qdisc", "nsid")
OBJECTS += ("nft", "nft_table", "nft_elements", "nft_operations")
PARTS = (("error",), ("containers",), ("sysfs", "counter_text"), ("netns", "sysctl"))
OTHERS = (*OBJECTS, *(file for part in PARTS for file in part))
SOURCES = Path(__file__).resolve().parents[2] / "csrc" / "sources"

# All that each file takes from libc. No file may use anything else (malloc, printf, abort ...), and
# no pure file a system call.
LIBC = {
    "error": "strerror",
    "address": "inet_ntop inet_pton",
    "nft": "htonl htons ntohl",
    "nft_elements": "htons ntohs",
    "socket": "socket setsockopt getsockname bind recvfrom recvmsg poll close clock_gettime",
    "exchange": "send getsockopt setsockopt",
    "netns": "open close setns unshare mkdir mount umount2 unlink ioctl getsockopt sigfillset "
    "stat lstat flock nanosleep dl_iterate_phdr "
    "pthread_create pthread_join pthread_sigmask pthread_setcancelstate pthread_attr_setstacksize "
    "sched_getcpu pthread_attr_init pthread_attr_setaffinity_np pthread_attr_destroy",
    "sysfs": "openat faccessat read pread close readlink fstat fstatfs syscall",
    "counter_text": "strtoull",
    "sysctl": "open read write close",
}
ERRNO = ("counter_text", "exchange", "socket", "netns", "sysfs", "sysctl")
# What any file may need: the text and memory functions, and the helpers that compilers call by
# themselves.
ANYWHERE = re.compile(
    r"""netstrat_\w+
    | mem(cpy|set|move|cmp|chr) | bcmp | str(n?len|cmp|chr|cspn)
    | _GLOBAL_OFFSET_TABLE_ | _gp_disp | \.TOC\. | __gnu_local_gp
    | __aeabi_\w+ | __u?(div|mod)\w+ | _(save|rest)gpr\w+""",
    re.VERBOSE,
)


def is_allowed(file: str, symbol: str) -> bool:
    """May this file of the core need it? libcs decorate some names: __fstat_time64, openat64."""
    if ANYWHERE.fullmatch(symbol):
        return True
    if symbol in {"__errno_location", "___errno_location"}:
        return file in ERRNO
    bare = re.sub(r"^(__isoc23_|__)|(_time)?64$", "", symbol)
    return bare in LIBC.get(file, "").split()


# Calls through a pointer, which no relocation shows: netstrat_dump's `each`, the notifications that
# are watched, a visit's work. Compilers put the caller into its own caller, so that one stands here
# too.
ROWS = [("operations", "operations_add_row"), ("exchange", "exchange_copy_message")]
WATCHED = [("name_cache", "name_cache_apply")]
WORK = [("netns", "netns_open_socket"), ("netns", "netns_mount_sysfs")]
WORK += [("netns", "netns_exchange_sysctls")]
INDIRECT = {
    ("exchange", "exchange_pass_on"): ROWS,
    ("exchange", "exchange_dump_once"): ROWS,
    ("exchange", "exchange_dump_until_settled"): ROWS,
    ("exchange", "netstrat_dump_tolerant"): ROWS,
    ("exchange", "netstrat_dump"): ROWS,
    ("socket", "netstrat_socket_notify"): WATCHED,
    ("socket", "netstrat_socket_drain"): WATCHED,
    ("netns", "netns_do_work"): WORK,
}
OWN_STACK = {("netns", "netns_do_work")}  # a thread's


def plain(name: str) -> str:
    """A function's name as it stands in the source: gcc marks the copies that it changes."""
    return re.sub(r"\.(constprop|isra|part)(\.\d+)?", "", name.removeprefix(".text."))


def readelf(option: str, path: Path) -> list[list[str]]:
    command = ["readelf", "-W", option, str(path)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [line.split() for line in output.splitlines()]


class Object:
    """One object file: its sections' sizes, the symbols it needs, its call graph and its frames."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        path = folder / f"{name}.o"
        self.code = self.constant = self.mutable = 0
        self.frames: dict[str, int] = {}
        self.read_sections(path)
        self.read_symbols(path)
        self.read_calls(path)
        if (folder / f"{name}.su").exists():
            self.read_su(folder / f"{name}.su")

    def read_sections(self, path: Path) -> None:
        """Sizes by kind, and the frames in .stack_sizes: an address and a LEB128 a function."""
        content = path.read_bytes()
        pointer = 8 if content[4] == 2 else 4  # EI_CLASS
        names: dict[int, str] = {}
        stack_sizes: list[tuple[int, int]] = []
        for line in readelf("-S", path):
            match = re.match(
                r"\[ *(\d+)\] (\S+) \w+ \w+ (\w+) (\w+) \w+ ([A-Zxop]*) *(\d+) \d+ \d+$",
                " ".join(line),
            )
            if not match:
                continue
            number, section, flags = int(match[1]), match[2], match[5]
            size = int(match[4], 16)
            names[number] = section
            if section == ".stack_sizes":
                stack_sizes.append((int(match[3], 16) + pointer, int(match[6])))
            elif "A" not in flags or section.startswith((".eh_frame", ".ARM.ex")):
                continue
            elif "X" in flags:
                self.code += size
            elif "W" in flags:
                self.mutable += size
            else:
                self.constant += size
        for at, text in stack_sizes:
            value = shift = 0
            while True:
                value |= (content[at] & 0x7F) << shift
                shift += 7
                at += 1
                if content[at - 1] < 0x80:
                    break
            self.frames[plain(names[text])] = value

    def read_symbols(self, path: Path) -> None:
        """What it needs, what it has."""
        symbols = [line for line in readelf("-s", path) if len(line) >= 8]
        self.needed = {line[-1] for line in symbols if line[-2] == "UND" and line[4] == "GLOBAL"}
        self.functions = {plain(line[-1]) for line in symbols if line[3] == "FUNC"}
        self.public = {line[-1] for line in symbols if line[3] == "FUNC" and line[4] == "GLOBAL"}

    def read_calls(self, path: Path) -> None:
        """The call graph."""
        self.calls: dict[str, set[str]] = {}
        caller = ""
        for line in readelf("-r", path):
            if line[:2] == ["Relocation", "section"]:
                section = line[2].strip("'")
                caller = re.sub(r"^\.rela?", "", section) if ".text." in section else ""
            elif caller and len(line) >= 5 and line[2].startswith("R_") and line[4] != caller:
                # By its section's name MIPS jumps to places within a function: no call.
                self.calls.setdefault(plain(caller), set()).add(plain(line[4]))

    def read_su(self, path: Path) -> None:
        """The frames as gcc has them."""
        for line in path.read_text().splitlines():
            where, size, kind = line.split("\t")
            if kind == "dynamic":
                sys.exit(f"{where}: a frame of unbounded size ({kind})")
            self.frames[plain(where.rsplit(":", 1)[1])] = int(size)


def deepest(
    objects: dict[str, Object], roots: tuple[str, ...], extra: int
) -> tuple[int, list[str]]:
    """The deepest stack under the public functions of `roots`, and the way there."""
    public = {name: one for one in objects.values() for name in one.public}

    def depth(one: Object, function: str, way: tuple[str, ...]) -> tuple[int, list[str]]:
        if function in way:
            sys.exit(f"recursion: {' > '.join((*way, function))}")
        below: list[tuple[int, list[str]]] = [(0, [])]
        callees = [(objects[o], f) for o, f in INDIRECT.get((one.name, function), [])]
        for name in one.calls.get(function, ()):
            if (one.name, name) in OWN_STACK:
                continue
            if name in one.functions:
                callees.append((one, name))
            elif name in public:
                callees.append((public[name], name))
        below += [depth(other, name, (*way, function)) for other, name in callees]
        most, path = max(below)
        return one.frames[function] + extra + most, [function, *path]

    return max(depth(objects[o], f, ()) for o in roots for f in objects[o].public)


def main() -> None:
    """Checks the objects and prints their row."""
    name, folder, extra = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    files = [Path(source).stem for source in SOURCES.read_text().split()]
    if set(files) != {*LOOPBACK, *OTHERS}:
        sys.exit(f"csrc/sources lists {files}: mend footprint.py")
    objects = {file: Object(folder, file) for file in files}
    for one in objects.values():
        alien = sorted(symbol for symbol in one.needed if not is_allowed(one.name, symbol))
        if alien:
            sys.exit(f"{name}: {one.name}.o needs {', '.join(alien)}")
        if one.mutable:
            sys.exit(f"{name}: {one.name}.o has {one.mutable} bytes of mutable data")
        if one.code == 0 or not one.public <= one.frames.keys():
            sys.exit(f"{name}: {one.name}.o was misread")
    for callees in INDIRECT.values():
        for file, function in callees:
            if function not in objects[file].functions:
                sys.exit(f"{name}: {file}.o has no {function}: mend INDIRECT in footprint.py")
    for file in LOOPBACK:
        for symbol in objects[file].needed:
            if any(symbol in objects[other].public for other in OTHERS):
                sys.exit(f"{name}: the loopback path needs {symbol}")

    size = {file: objects[file].code + objects[file].constant for file in files}
    pure, kernel = (sum(size[file] for file in part) for part in (PURE, KERNEL))
    stack, way = deepest(objects, LOOPBACK, extra)
    others = [deepest(objects, part, extra)[0] for part in PARTS]
    print(f"{name}: the deepest stack: {' > '.join(way)}", file=sys.stderr)
    if name == "armv7" and pure + kernel > 20 * 1024:
        sys.exit(f"{name}: {pure + kernel} bytes of code for the loopback path, above 20 KiB")
    if stack > 8 * 1024:
        sys.exit(f"{name}: {stack} bytes of stack for the loopback path, more than 8 KiB")
    objects_size = sum(size[file] for file in OBJECTS)
    parts = (sum(size[file] for file in part) for part in PARTS)
    row = [pure, kernel, pure + kernel, objects_size, *parts]
    row += [0, stack, *others]
    print("| " + " | ".join([name, *(f"{value:,}" for value in row)]) + " |")


main()
