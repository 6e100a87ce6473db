"""Where operating systems differ: locks, safe opening, replacing files, child processes.

It knows nothing of indexes or models. POSIX is what is tested; the Windows branches
follow the documented behaviour of the C runtime and have not been run.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from codebuddy.isolation import child_environment as child_environment
from codebuddy.isolation import find_program as find_program
from codebuddy.isolation import python_command as python_command

IS_WINDOWS = os.name == "nt"

_LOCK_POLL_S = 0.05
# A Python process starts within 0.1 s; on a crowded machine it takes longer.
_LEAVE_TIMEOUT_S = 10.0
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP})

# Reads never block on a FIFO, never take over a terminal and never follow a final link.
_SAFE_READ = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
_SAFE_FOLDER = _SAFE_READ | getattr(os, "O_DIRECTORY", 0)
_CAN_OPEN_BENEATH = os.open in os.supports_dir_fd


class LocksUnsupportedError(OSError):
    """The file system of the lock file cannot lock."""


@contextlib.contextmanager
def exclusive_lock(
    file: Path, timeout_s: float, on_wait: Callable[[], None] | None = None
) -> Iterator[None]:
    """Hold `file` as a lock that the system releases when this process ends in any way.

    Args:
        file: Created with mode 0600 if missing; never deleted, so that no two processes
            can hold locks on two different files of the same name.
        timeout_s: How long to wait for another holder.
        on_wait: Called once, before waiting.

    Raises:
        TimeoutError: Another process held it all the time.
        LocksUnsupportedError: The file system cannot lock.
        OSError: The file cannot be opened.
    """
    # As safely as a read, for a pipe can lie in its place, too.
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | _SAFE_READ, 0o600)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is no plain file", str(file))
        deadline = time.monotonic() + timeout_s
        if not _try_lock(descriptor):
            if on_wait is not None:
                on_wait()
            while not _try_lock(descriptor):
                if time.monotonic() >= deadline:
                    raise TimeoutError(errno.ETIMEDOUT, "another process holds the lock")
                time.sleep(_LOCK_POLL_S)
        try:
            yield
        finally:
            _unlock(descriptor)
    finally:
        os.close(descriptor)


if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        try:
            os.lseek(descriptor, 0, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EDEADLK):
                return False
            raise
        return True

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno in _NO_LOCKS:
                raise LocksUnsupportedError(error.errno, error.strerror) from error
            raise
        return True

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def open_beneath(root: bytes, relative: bytes) -> int:
    """Open the file `relative` of the folder `root` for reading, following no link on the way.

    Every folder of the path is opened from its parent, so that a folder swapped for a link
    to elsewhere, even during the call, cannot lead outside. Does not block on a FIFO.

    Raises:
        OSError: ELOOP or ENOTDIR for a link, and the system's usual reasons.
    """
    parts = relative.split(b"/")
    if b".." in parts or b"" in parts:
        raise OSError(errno.EINVAL, "not a plain relative path")
    if not _CAN_OPEN_BENEATH:
        return _open_checked(root, parts)
    folder = os.open(root, _SAFE_FOLDER & ~getattr(os, "O_NOFOLLOW", 0))
    try:
        for part in parts[:-1]:
            inner = os.open(part, _SAFE_FOLDER, dir_fd=folder)
            os.close(folder)
            folder = inner
        return os.open(parts[-1], _SAFE_READ, dir_fd=folder)
    finally:
        os.close(folder)


def _open_checked(root: bytes, parts: list[bytes]) -> int:
    """As well as a system without `openat` can: look at each part before opening."""
    path = root
    for part in parts:
        path = path + os.sep.encode() + part
        if stat.S_ISLNK(os.lstat(path).st_mode):
            raise OSError(errno.ELOOP, "a link on the way")
    return os.open(path, _SAFE_READ)


def is_writable_folder(folder: Path) -> bool:
    """Whether this process may make files there, its file system being writable too."""
    effective = os.access in os.supports_effective_ids
    return os.access(folder, os.W_OK | os.X_OK, effective_ids=effective)


def create_marker(file: Path) -> None:
    """Make an empty file for its owner alone, through no link; nothing happens if it exists."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def replace_durably(new: Path, target: Path) -> None:
    """Put the finished file `new` in the place of `target`, so that a crash leaves either."""
    with new.open("rb+") as stream:
        os.fsync(stream.fileno())
    new.replace(target)
    if not IS_WINDOWS:
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def spawn_detached_from_terminal(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    folder: Path | None = None,
    output: IO[bytes] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a child in a process group of its own, that Ctrl-C does not reach.

    The child must end when its stdin ends, since only that signals its parent's death.

    Args:
        arguments: The program and its arguments.
        environment: The whole environment.
        folder: The working directory; this process's own by default.
        output: Takes stdout and stderr; by default stdout is a pipe and stderr is dropped.
    """
    return subprocess.Popen(
        list(arguments),
        stdin=subprocess.PIPE,
        stdout=output or subprocess.PIPE,
        stderr=output or subprocess.DEVNULL,
        env=dict(environment),
        cwd=folder,
        start_new_session=not IS_WINDOWS,
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
    )


def kill_with_children(process: subprocess.Popen[bytes]) -> None:
    """End such a child at once, with what it started where the system has process groups."""
    if process.poll() is None:
        if hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.wait()


def spawn_service(arguments: Sequence[str], environment: Mapping[str, str], ready: int) -> None:
    """Start a process that outlives this one: own session, no terminal, no inherited files.

    The program calls `detach_from_starter` first: it goes on in a child of its own, so that the
    process that starts it has none to wait for.

    Args:
        arguments: The program and its arguments.
        environment: The whole environment.
        ready: A descriptor that the child inherits to say how its start went.
    """
    process = subprocess.Popen(
        list(arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=dict(environment),
        cwd=os.path.abspath(os.sep),  # noqa: PTH100
        pass_fds=(ready,),
        start_new_session=True,
    )
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_LEAVE_TIMEOUT_S)


def detach_from_starter() -> None:
    """Go on in a child, and end the process that was started: init takes the child over."""
    if os.fork():
        os._exit(0)


def socket_path(folder: Path, folder_descriptor: int, name: str) -> str:
    """A path of the socket `name` that fits the 107 bytes which the system allows.

    On Linux through the folder's open descriptor, which also cannot be swapped meanwhile.
    """
    if Path("/proc/self/fd").exists():
        return f"/proc/self/fd/{folder_descriptor}/{name}"
    return str(folder / name)


def peer_of(connection: socket.socket) -> tuple[int, int] | None:
    """Process and user id at the other end of a Unix socket; `None` where unknown."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return None
    pid, user, _group = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, option, 12))
    return pid, user


def exit_with_parent() -> None:
    """Ask Linux to kill this process when its parent ends in any way; elsewhere nothing."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    set_death_signal = 1
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(set_death_signal, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def memory_left_by_control_group() -> int | None:
    """Bytes that a Linux control group (a container) still allows; `None` without a limit."""
    group = Path("/sys/fs/cgroup")
    try:
        limit = int((group / "memory.max").read_text())
        return max(0, limit - int((group / "memory.current").read_text()))
    except (OSError, ValueError):
        return None


def has_nvidia_driver() -> bool:
    """Whether an NVIDIA driver is loaded; only Linux shows it without a library of the vendor's."""
    return Path("/proc/driver/nvidia/version").exists()


def usable_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class HeldInterrupts:
    """Whether Ctrl-C came while a native call ran."""

    was_interrupted = False


@contextlib.contextmanager
def interrupts_held(on_interrupt: Callable[[], None]) -> Iterator[HeldInterrupts]:
    """Turn Ctrl-C into a call of `on_interrupt` while native code runs.

    An exception raised in a callback from native code would be lost. The caller raises
    KeyboardInterrupt itself once the native call has returned. Signals reach Python's main
    thread only; elsewhere, and under a handler of somebody else's, nothing changes.
    """
    held = HeldInterrupts()
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield held
        return

    def hold(_number: int, _frame: object) -> None:
        held.was_interrupted = True
        on_interrupt()

    signal.signal(signal.SIGINT, hold)
    try:
        yield held
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


# Main screen, cursor, mouse, focus and paste reports, keyboard protocol, synchronised output,
# colours: what a full-screen program may have left on.
_TERMINAL_AS_IT_WAS = (
    b"\x1b[?2026l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1004l\x1b[?1006l\x1b[?1015l\x1b[?1016l"
    b"\x1b[?2004l\x1b[?2048l\x1b[<u\x1b[?1049l\x1b[?25h\x1b[0m\r"
)


_guard: list[int] = []


def guard_terminal() -> int | None:
    """Go on in a child process, so that even its violent death leaves the terminal usable.

    Call it before any thread is started.

    Returns:
        `None` in the child, which goes on with the work (and where a system has no `fork`);
        in the parent, once the child is gone, its exit code, or minus the number of the
        signal that ended it, with the terminal as it was before.
    """
    if not hasattr(os, "fork"):
        return None
    import termios

    before = termios.tcgetattr(sys.stdin.fileno())
    reading, writing = os.pipe()
    child = os.fork()
    os.close(writing if child == 0 else reading)
    if child == 0:
        # Nothing is written to it: it closes with the parent, however that ends.
        _guard.append(reading)
        return None
    for name in ("SIGINT", "SIGQUIT"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    for name in ("SIGTERM", "SIGHUP"):
        signal.signal(getattr(signal, name), lambda number, _frame: _forward(child, number))
    while True:
        _, status = os.waitpid(child, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            break
        # The shell is to see that the job stopped; it continues both.
        os.kill(os.getpid(), signal.SIGSTOP)
        _forward(child, signal.SIGCONT)
    if os.WIFEXITED(status):
        return os.WEXITSTATUS(status)
    with contextlib.suppress(OSError):
        os.write(sys.stdout.fileno(), _TERMINAL_AS_IT_WAS)
    with contextlib.suppress(OSError, termios.error):
        termios.tcsetattr(sys.stdin.fileno(), termios.TCSAFLUSH, before)
    return -os.WTERMSIG(status)


def guard_descriptor() -> int | None:
    """In the child of `guard_terminal` what hangs up (POLLHUP) when its parent is gone."""
    return _guard[0] if _guard else None


def _forward(child: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, number)
