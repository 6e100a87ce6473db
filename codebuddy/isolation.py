"""Keeps code of the working folder, which may be a hostile repository, out of our processes.

An empty or relative path in PATH, PYTHONPATH, LD_LIBRARY_PATH and the like means a place in the
working folder: whatever lies there under the right name would run. `python -m` puts that folder
on the module path besides. Such entries are dropped as codebuddy starts, before it imports
anything else, and from the environment of every child.

It is imported first of all, so it imports only what Python itself has loaded by then.
"""

import os
import sys

# Lists of folders (of files: LD_PRELOAD, LD_AUDIT) that programs, modules or libraries come from.
LISTS = (
    "PATH",
    "PYTHONPATH",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "LD_AUDIT",
    "DYLD_LIBRARY_PATH",
    "DYLD_FRAMEWORK_PATH",
    "DYLD_FALLBACK_LIBRARY_PATH",
    "DYLD_FALLBACK_FRAMEWORK_PATH",
    "DYLD_INSERT_LIBRARIES",
    "GCONV_PATH",
    "TERMINFO_DIRS",
    "NODE_PATH",
    "XDG_CONFIG_DIRS",
    "XDG_DATA_DIRS",
    "OMP_TOOL_LIBRARIES",
)
# Entries of these may be bare names, which are looked for in the system's own folders.
_MAY_BE_NAMES = frozenset({"LD_PRELOAD", "LD_AUDIT", "OMP_TOOL_LIBRARIES"})
# One path each (PYTHONHOME: one or two, joined as in a list): of code, of settings that name
# code or where code comes from, or of a folder that such settings are looked for in.
_PATHS = (
    *("PYTHONHOME", "PYTHONUSERBASE", "PYTHONPYCACHEPREFIX", "PYTHONSTARTUP", "PYTHONEXECUTABLE"),
    *("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"),
    *("GIT_EXEC_PATH", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"),
    *("LLAMA_CPP_LIB_PATH", "LLAVA_CPP_LIB", "MTMD_CPP_LIB"),
    *("GGML_BACKEND_PATH", "GGML_BACKEND_DIR", "CUDA_PATH", "HIP_PATH"),
    *("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_TOKEN_PATH", "HF_MODULES_CACHE"),
    *("TRANSFORMERS_CACHE", "SENTENCE_TRANSFORMERS_HOME", "TORCH_HOME", "TORCH_EXTENSIONS_DIR"),
    *("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "NUMBA_CACHE_DIR", "CUDA_CACHE_PATH"),
    *("PIP_CONFIG_FILE", "PIP_PYTHON", "NETRC", "MATPLOTLIBRC", "MPLCONFIGDIR"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT"),
    *("OPENSSL_CONF", "OPENSSL_MODULES", "OPENSSL_ENGINES", "LOCPATH", "TERMINFO"),
)
# Dropped from what codebuddy starts, whatever they hold: a child that is done must end.
_NOT_FOR_CHILDREN = ("PYTHONSTARTUP", "PYTHONINSPECT")
# What a program that restarts itself passes to its second start, for `doctor`.
_NOTE = "_CODEBUDDY_DROPPED"
_SEPARATOR = "\x1e"
_PACKAGE_PARENT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def clean_environment(environment: "dict[str, str]") -> "dict[str, str]":
    """`environment` without what points into the working folder; the rest as it is.

    Empty and relative entries of lists go, and the variable with the last of them; PATH then
    becomes the system's default. A variable of one path goes if that is relative.
    """
    clean = dict(environment)
    for name in LISTS:
        value = clean.get(name)
        if value is None or (not value and name != "PATH"):
            # An empty list is none, but for PATH, where it means the working folder.
            continue
        entries = _entries(name, value)
        kept = [entry for entry in entries if _is_safe(name, entry)]
        if len(kept) == len(entries):
            continue
        clean[name] = os.pathsep.join(kept)
        if not kept:
            del clean[name]
            if name == "PATH":
                clean[name] = os.defpath
    for name in _PATHS:
        value = clean.get(name)
        if value and not all(os.path.isabs(part) for part in _home_parts(name, value)):
            del clean[name]
    return clean


def dropped_entries(environment: "dict[str, str]") -> "dict[str, list[str]]":
    """What `clean_environment` drops: for each variable the entries, in their order."""
    clean = clean_environment(environment)
    found: dict[str, list[str]] = {}
    for name, value in environment.items():
        if clean.get(name) == value:
            continue
        entries = _entries(name, value) if name in LISTS else [value]
        found[name] = [each for each in entries if name in _PATHS or not _is_safe(name, each)]
    return found


def dropped_at_start() -> "dict[str, list[str]]":
    """What was dropped as this process started, and what its environment holds of the kind now."""
    return {**_dropped, **dropped_entries(dict(os.environ))}


def child_environment(**changes: str) -> "dict[str, str]":
    """The environment for a child: this process's, clean, with codebuddy on the module path.

    Args:
        changes: Variables to set besides.
    """
    environment = clean_environment(dict(os.environ))
    for name in (*_NOT_FOR_CHILDREN, _NOTE):
        environment.pop(name, None)
    inherited = environment.get("PYTHONPATH", "")
    # Where codebuddy lies in no folder of Python's own, it is found by this alone.
    environment["PYTHONPATH"] = os.pathsep.join([*filter(None, [inherited]), _PACKAGE_PARENT])
    environment.update(changes)
    return environment


def python_command(program: "str | os.PathLike[str]", *arguments: str) -> "list[str]":
    """The command line of a child that runs Python. No other place makes one.

    `-P` keeps the folder that it runs in off its module path. Give it `child_environment()`,
    or a part of that, since a relative entry of PYTHONPATH would put the folder back. `-I` would
    also ignore the absolute entries and the user's own packages, which codebuddy may need.

    Args:
        program: The name of a module, or the path of a file.
        arguments: The program's arguments.
    """
    chosen = ["-m", program] if isinstance(program, str) else [os.fspath(program)]
    return [sys.executable, "-P", *chosen, *arguments]


def find_program(name: str) -> "str | None":
    """The absolute path of a program that PATH finds; its relative entries do not count."""
    from shutil import which

    path = clean_environment({"PATH": os.environ.get("PATH", os.defpath)})["PATH"]
    return which(name, path=path)


def start_isolated() -> None:
    """Make this process clean, if it is codebuddy itself that starts; call it before any import.

    Where the environment is not, the program is started again in its own place with one that
    is: what a library path led to, or a module path, cannot be undone from within. Does nothing
    in a process of somebody else's that uses the package.
    """
    if not _is_codebuddy():
        return
    note = os.environ.pop(_NOTE, None)
    if note is not None:
        _dropped.update(_noted(note))
    environment = dict(os.environ)
    clean = clean_environment(environment)
    if clean != environment:
        _dropped.update(dropped_entries(environment))
        _become_clean(clean, may_start_again=note is None)
    clean_module_path()


def clean_module_path() -> None:
    """Take the working folder off the module path, where `-m` or `-c` put it.

    It stays where codebuddy itself was loaded from it.
    """
    try:
        here = os.getcwd()
    except OSError:
        here = ""
    if here == _PACKAGE_PARENT:
        sys.path[:] = [entry if os.path.isabs(entry) else here for entry in sys.path]
        return
    was_put = sys.argv[:1] == ["-m"] and not sys.flags.safe_path
    if was_put and here and sys.path[:1] == [here]:
        del sys.path[0]
    sys.path[:] = [entry for entry in sys.path if os.path.isabs(entry)]


_dropped: "dict[str, list[str]]" = {}


def _become_clean(clean: "dict[str, str]", *, may_start_again: bool) -> None:
    """Become the same program with the environment `clean`; go on here where that fails."""
    places = {os.path.abspath(each) for each in _dropped.get("PYTHONPATH", ())}
    if may_start_again and os.name == "posix" and sys.executable:
        noted = [f"{name}={each}" for name, entries in _dropped.items() for each in entries]
        again = {**clean, _NOTE: _SEPARATOR.join(noted)}
        if _PACKAGE_PARENT in places:
            # It was found by one of the entries that are dropped.
            known = filter(None, [clean.get("PYTHONPATH"), _PACKAGE_PARENT])
            again["PYTHONPATH"] = os.pathsep.join(known)
        try:
            os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], again)
        except OSError:
            pass
    for name in _dropped:
        os.environ.pop(name, None)
    os.environ.update(clean)
    sys.path[:] = [each for each in sys.path if each not in places or each == _PACKAGE_PARENT]


def _noted(text: str) -> "dict[str, list[str]]":
    found: dict[str, list[str]] = {}
    for each in text.split(_SEPARATOR) if text else ():
        name, _, entry = each.partition("=")
        found.setdefault(name, []).append(entry)
    return found


def _is_codebuddy() -> bool:
    """Whether the program of this process is codebuddy: its script, or `-m` with one of its
    modules, which is being looked for while the package is imported."""
    started_as = str((getattr(sys, "argv", None) or [""])[0])
    if started_as == "-m":
        names = (each.rpartition("-m")[2] for each in sys.orig_argv[1:])
        return any(name.split(".")[0] == "codebuddy" for name in names)
    return os.path.splitext(os.path.basename(started_as))[0] == "codebuddy"


def _entries(name: str, value: str) -> "list[str]":
    if name in ("LD_PRELOAD", "DYLD_INSERT_LIBRARIES"):
        return [entry for part in value.split() for entry in part.split(":") if entry]
    # The loader of Linux takes both.
    separators = value.replace(";", ":") if name == "LD_LIBRARY_PATH" else value
    return separators.split(os.pathsep)


def _is_safe(name: str, entry: str) -> bool:
    is_name = name in _MAY_BE_NAMES and bool(entry) and os.sep not in entry
    # The loader's own words for the folder of the program.
    is_origin = name.startswith("LD_") and entry.startswith(("$ORIGIN", "${ORIGIN}"))
    return os.path.isabs(entry) or is_name or is_origin


def _home_parts(name: str, value: str) -> "list[str]":
    return value.split(os.pathsep) if name == "PYTHONHOME" else [value]
