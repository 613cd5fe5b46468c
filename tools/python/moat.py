# SPDX-License-Identifier: Apache-2.0
"""libmoat from Python: run a program in a sandbox.

    import moat
    r = moat.run(["python3", "-c", "print(6 * 7)"], limits=moat.Limits(cpu_ms=1000))
    print(r.verdict, r.out)                 # Verdict.OK b'42\\n'

    with moat.Sandbox(["sleep", "100"]) as s:
        p = s.spawn(["cat"], input=b"hello")
        print(p.wait(), p.output())         # 0 b'hello'

The library is found as libmoat.so.0, or where MOAT_LIBRARY says. All calls let other threads of Python run. What goes
wrong with the sandbox itself is a moat.Error; how a program ends is no error.
"""
import ctypes
import enum
import os
from ctypes import (POINTER, byref, c_bool, c_char, c_char_p, c_int, c_int64, c_long, c_size_t, c_ssize_t, c_uint, c_uint16, c_uint32,
                    c_uint64, c_ulong, c_void_p)

__all__ = ["Attr", "Error", "Event", "EventKind", "Files", "Host", "Limits", "Mount", "Oci", "Process", "Result", "Rusage", "Sandbox",
           "Trace", "Tree", "Verdict", "Virtual", "run", "system", "tmpfs", "version"]


# --- the C structs (include/moat/*.h); a test compares them with the headers ---

class _Struct(ctypes.Structure):
    pass


class CError(_Struct):
    _c_name_ = "moat_error"
    _fields_ = [("code", c_int), ("exec", c_bool), ("text", c_char * 512)]


class CFileAttr(_Struct):
    _c_name_ = "moat_file_attr"
    _fields_ = [("mode", c_uint32), ("uid", c_uint32), ("gid", c_uint32), ("size", c_uint64), ("mtime_s", c_int64),
                ("mtime_ns", c_uint32)]


class CSpace(_Struct):
    _c_name_ = "moat_space"
    _fields_ = [("bytes", c_uint64), ("free_bytes", c_uint64), ("files", c_uint64), ("free_files", c_uint64)]


_FN = ctypes.CFUNCTYPE
_OPS = [  # in the order of struct moat_files_ops; each begins with void *user
    ("getattr", _FN(c_int, c_void_p, c_char_p, c_void_p, POINTER(CFileAttr))),
    ("readdir", _FN(c_int, c_void_p, c_char_p, c_void_p)),
    ("readlink", _FN(c_int, c_void_p, c_char_p, c_void_p, c_size_t)),
    ("open", _FN(c_int, c_void_p, c_char_p, c_int, POINTER(c_void_p))),
    ("read", _FN(c_ssize_t, c_void_p, c_char_p, c_void_p, c_void_p, c_size_t, c_uint64)),
    ("write", _FN(c_ssize_t, c_void_p, c_char_p, c_void_p, c_void_p, c_size_t, c_uint64)),
    ("release", _FN(None, c_void_p, c_void_p)),
    ("truncate", _FN(c_int, c_void_p, c_char_p, c_void_p, c_uint64)),
    ("setattr", _FN(c_int, c_void_p, c_char_p, c_void_p, c_uint, POINTER(CFileAttr))),
    ("create", _FN(c_int, c_void_p, c_char_p, c_uint32, c_uint32, c_uint32)),
    ("mkdir", _FN(c_int, c_void_p, c_char_p, c_uint32, c_uint32, c_uint32)),
    ("symlink", _FN(c_int, c_void_p, c_char_p, c_char_p, c_uint32, c_uint32)),
    ("unlink", _FN(c_int, c_void_p, c_char_p)),
    ("rmdir", _FN(c_int, c_void_p, c_char_p)),
    ("rename", _FN(c_int, c_void_p, c_char_p, c_char_p, c_uint)),
    ("stop", _FN(None, c_void_p)),
    ("statfs", _FN(c_int, c_void_p, POINTER(CSpace))),
]


class CFilesOps(_Struct):
    _c_name_ = "moat_files_ops"
    _fields_ = _OPS


class CFiles(_Struct):
    _c_name_ = "moat_files"
    _fields_ = [("ops", POINTER(CFilesOps)), ("user", c_void_p), ("valid_ms", c_uint)]


class CMount(_Struct):
    _c_name_ = "moat_mount"
    _fields_ = [("kind", c_int), ("source", c_char_p), ("target", c_char_p), ("options", c_char_p), ("propagation", c_ulong),
                ("flags", c_ulong), ("files", POINTER(CFiles)), ("shared", c_bool), ("alone", c_bool), ("fixed", c_bool),
                ("copy_up", c_bool), ("overlay", c_bool), ("idmap_deep", c_bool), ("uid_map", c_void_p), ("gid_map", c_void_p),
                ("nuid_map", c_size_t), ("ngid_map", c_size_t)]


class CRlimit(_Struct):
    _c_name_ = "moat_rlimit"
    _fields_ = [("resource", c_int), ("cur", c_uint64), ("max", c_uint64)]


class CLimits(_Struct):
    _c_name_ = "moat_limits"
    _fields_ = [(n, c_uint64) for n in
                ("cpu_ms", "wall_ms", "memory_bytes", "processes", "output_bytes", "file_bytes")]


class CRusage(_Struct):
    _c_name_ = "moat_rusage"
    _fields_ = [(n, c_uint64) for n in ("user_ns", "system_ns", "wall_ns", "memory_peak_bytes")]


class CIo(_Struct):
    _c_name_ = "moat_io"
    _fields_ = [("input", c_char_p), ("input_bytes", c_size_t), ("pass", c_uint), ("merge", c_bool)]


class CResult(_Struct):
    _c_name_ = "moat_result"
    _fields_ = [("verdict", c_int), ("status", c_int), ("limits_met", c_uint), ("usage", CRusage), ("out", c_void_p),
                ("err", c_void_p), ("out_bytes", c_size_t), ("err_bytes", c_size_t)]


class CEvent(_Struct):
    _c_name_ = "moat_event"
    _fields_ = [("kind", c_int), ("time_ns", c_uint64), ("pid", c_int), ("tid", c_int), ("comm", c_char_p),
                ("text", c_char_p), ("nr", c_uint), ("call", c_char_p), ("nargs", c_uint), ("args", c_uint64 * 6),
                ("result", c_int64), ("ppid", c_int), ("path", c_char_p), ("argv", POINTER(c_char_p)), ("nargv", c_size_t),
                ("argv_cut", c_bool), ("status", c_int)]


class CTrace(_Struct):
    _c_name_ = "moat_trace"
    _fields_ = [("fn", _FN(None, c_void_p, POINTER(CEvent))), ("user", c_void_p), ("kinds", c_uint),
                ("calls", POINTER(c_char_p))]


class CTimespec(_Struct):
    _c_name_ = "timespec"
    _fields_ = [("tv_sec", c_long), ("tv_nsec", c_long)]


class CConfig(_Struct):
    _c_name_ = "moat_config"
    _fields_ = [
        ("args", POINTER(c_char_p)), ("env", POINTER(c_char_p)), ("cwd", c_char_p), ("make_cwd", c_bool),
        ("uid", c_uint32), ("gid", c_uint32), ("groups", POINTER(c_uint32)), ("ngroups", c_size_t),
        ("cap_effective", c_uint64), ("cap_permitted", c_uint64), ("cap_inheritable", c_uint64),
        ("cap_bounding", c_uint64), ("cap_ambient", c_uint64), ("no_new_privs", c_bool), ("umask", c_uint32),
        ("has_oom_score_adj", c_bool), ("oom_score_adj", c_int), ("rlimits", POINTER(CRlimit)), ("nrlimits", c_size_t), ("sched_policy", c_int),
        ("sched_priority", c_int), ("sched_reset", c_bool), ("has_nice", c_bool), ("nice", c_int), ("ioprio", c_uint),
        ("personality", c_uint), ("cpus", c_void_p), ("cpus_bytes", c_size_t), ("stdio", c_int * 3),
        ("killable", c_bool), ("notify", c_bool), ("terminal", c_bool), ("extra_fds", POINTER(c_int)), ("nextra_fds", c_size_t),
        ("seccomp", c_void_p), ("seccomp_bytes", c_size_t), ("seccomp_log", c_bool), ("seccomp_listener", c_int), ("mounts", POINTER(CMount)),
        ("nmounts", c_size_t), ("devices", c_void_p), ("ndevices", c_size_t), ("root_readonly", c_bool), ("masked_paths", POINTER(c_char_p)),
        ("readonly_paths", POINTER(c_char_p)), ("hostname", c_char_p), ("domainname", c_char_p), ("network", c_char_p),
        ("net_fd", c_int), ("low_ports", c_uint), ("sysctls", POINTER(c_char_p)), ("uid_map", c_void_p),
        ("gid_map", c_void_p), ("nuid_map", c_size_t), ("ngid_map", c_size_t),
        ("monotonic_offset", CTimespec), ("boottime_offset", CTimespec), ("memory_mode", c_int),
        ("memory_nodes", POINTER(c_ulong)), ("platform", c_char_p),
        ("libexec", c_char_p), ("weaker", c_char_p), ("log_fd", c_int), ("trace_fd", c_int), ("debug", c_bool),
        ("workers", c_uint), ("no_spin", c_bool), ("no_rewrite", c_bool), ("no_stub_answers", c_bool),
        ("no_marshal", c_bool), ("memory_limit", c_uint64), ("pids_limit", c_uint64), ("limits", POINTER(CLimits)),
        ("trace", POINTER(CTrace)), ("cpu_quota_us", c_uint64), ("cpu_period_us", c_uint64), ("die_with_parent", c_bool), ("join", c_void_p),
        ("hold", c_bool), ("detached", c_bool), ("anchor", c_bool), ("listen_fd", c_int), ("place", c_void_p),
        ("prepare", c_void_p), ("arg", c_void_p),
    ]


class COciValue(_Struct):
    _c_name_ = "moat_oci_value"
    _fields_ = [("name", c_char_p), ("value", c_char_p)]


class CIntelRdt(_Struct):
    _c_name_ = "moat_intel_rdt"
    _fields_ = [("clos_id", c_char_p), ("l3_cache_schema", c_char_p), ("mem_bw_schema", c_char_p),
                ("schemata", POINTER(c_char_p)), ("nschemata", c_size_t), ("monitoring", c_bool), ("cmt", c_bool), ("mbm", c_bool)]


class CResources(_Struct):
    _c_name_ = "moat_resources"
    _fields_ = [(n, c_int64) for n in (
        "memory_limit", "memory_reservation", "memory_swap", "memory_kernel", "memory_kernel_tcp", "memory_swappiness")] + \
        [("memory_disable_oom_killer", c_bool), ("memory_check_before_update", c_bool)] + [(n, c_int64) for n in (
            "cpu_shares", "cpu_quota", "cpu_period", "cpu_burst", "cpu_rt_runtime", "cpu_rt_period", "cpu_idle")] + \
        [("cpus", c_char_p), ("mems", c_char_p)] + [(n, c_int64) for n in (
            "pids_limit", "io_weight", "io_leaf_weight", "net_class")] + [f for n in (
                "io", "hugepages", "net_priorities", "devices", "rdma", "unified")
                for f in ((n, c_void_p), ("n" + n, c_size_t))]


class COci(_Struct):
    _c_name_ = "moat_oci"
    _fields_ = [("config", CConfig), ("warnings", POINTER(c_char_p)), ("nwarnings", c_size_t), ("text", c_char_p),
                ("text_bytes", c_size_t), ("terminal", c_bool), ("rows", c_uint16), ("columns", c_uint16),
                ("cgroups_path", c_char_p), ("resources", CResources), ("has_limits", c_bool), ("host_network", c_bool),
                ("network_path", c_char_p), ("pid_path", c_char_p), ("ipc_path", c_char_p), ("uts_path", c_char_p),
                ("listener_path", c_char_p), ("listener_metadata", c_char_p),
                ("sysctls", POINTER(COciValue)), ("annotations", POINTER(COciValue)), ("nsysctls", c_size_t),
                ("nannotations", c_size_t), ("net_devices", POINTER(COciValue)), ("nnet_devices", c_size_t), ("intel_rdt", POINTER(CIntelRdt)), ("exec_cpus", c_void_p),
                ("exec_cpus_bytes", c_size_t), ("parts", c_void_p)]


STRUCTS = (CError, CFileAttr, CSpace, CFilesOps, CFiles, CMount, CRlimit, CLimits, CRusage, CIo, CResult, CEvent, CTrace,
           CConfig, COciValue, CIntelRdt, CResources, COci)

_lib = ctypes.CDLL(os.environ.get("MOAT_LIBRARY", "libmoat.so.0"))
_PROTOTYPES = {
    "moat_version": (c_char_p,),
    "moat_verdict_name": (c_char_p, c_int),
    "moat_config_init": (None, POINTER(CConfig)),
    "moat_run": (c_int, POINTER(CConfig), POINTER(CLimits), POINTER(CIo), POINTER(CResult), POINTER(CError)),
    "moat_result_free": (None, POINTER(CResult)),
    "moat_start_io": (c_int, POINTER(CConfig), POINTER(CIo), POINTER(c_void_p), POINTER(CError)),
    "moat_spawn_io": (c_int, c_void_p, POINTER(CConfig), POINTER(CIo), POINTER(c_void_p), POINTER(CError)),
    "moat_wait_timeout": (c_int, c_void_p, c_int, POINTER(c_int), POINTER(CError)),
    "moat_verdict": (c_int, c_void_p, POINTER(c_int), POINTER(c_uint)),
    "moat_rusage": (c_int, c_void_p, POINTER(CRusage)),
    "moat_output": (c_int, c_void_p, c_int, POINTER(c_void_p), POINTER(c_size_t)),
    "moat_signal": (c_int, c_void_p, c_int, c_int),
    "moat_signal_all": (c_int, c_void_p, c_int),
    "moat_pause": (c_int, c_void_p, POINTER(CError)),
    "moat_resume": (c_int, c_void_p, POINTER(CError)),
    "moat_destroy": (None, c_void_p),
    "moat_process_wait": (c_int, c_void_p, c_int, POINTER(c_int), POINTER(CError)),
    "moat_process_pid": (c_int, c_void_p),
    "moat_process_rusage": (c_int, c_void_p, POINTER(CRusage)),
    "moat_process_output": (c_int, c_void_p, c_int, POINTER(c_void_p), POINTER(c_size_t)),
    "moat_process_signal": (c_int, c_void_p, c_int),
    "moat_process_free": (None, c_void_p),
    "moat_oci_load": (c_int, c_char_p, c_uint, POINTER(POINTER(COci)), POINTER(CError)),
    "moat_oci_parse": (c_int, c_char_p, c_size_t, c_char_p, c_uint, POINTER(POINTER(COci)), POINTER(CError)),
    "moat_oci_free": (None, POINTER(COci)),
    "moat_dir_add": (c_int, c_void_p, c_char_p, c_uint32),
    "moat_tree_new": (c_void_p, c_uint64),
    "moat_tree_free": (None, c_void_p),
    "moat_tree_files": (POINTER(CFiles), c_void_p),
    "moat_tree_add": (c_int, c_void_p, c_char_p, c_uint32, c_char_p, c_size_t),
    "moat_tree_mkdir": (c_int, c_void_p, c_char_p, c_uint32),
    "moat_tree_symlink": (c_int, c_void_p, c_char_p, c_char_p),
    "moat_tree_remove": (c_int, c_void_p, c_char_p),
    "moat_tree_read": (c_int, c_void_p, c_char_p, POINTER(c_void_p), POINTER(c_size_t)),
}
for _name, (_result, *_args) in _PROTOTYPES.items():
    _fn = getattr(_lib, _name)
    _fn.restype, _fn.argtypes = _result, _args
_free = ctypes.CDLL(None).free
_free.restype, _free.argtypes = None, (c_void_p,)


# --- what callers see ---

class Error(OSError):
    """A call of libmoat failed. errno; exec: the sandbox came up, but the program could not be started."""

    def __init__(self, code, text, exec_failed=False):
        super().__init__(code, text)
        self.exec = exec_failed


class Verdict(enum.IntEnum):
    OK = 0
    LIMIT_CPU = 1
    LIMIT_WALL = 2
    LIMIT_MEMORY = 3
    LIMIT_OUTPUT = 4
    LIMIT_PROCESSES = 5
    LIMIT_FILE = 6
    EXIT_NONZERO = 7
    SIGNALED = 8

    def __str__(self):
        return _lib.moat_verdict_name(self).decode()


class Limits:
    """What all programs of a sandbox may use together; 0: no limit. See struct moat_limits in moat/run.h."""

    def __init__(self, *, cpu_ms=0, wall_ms=0, memory_bytes=0, processes=0, output_bytes=0, file_bytes=0):
        self._c = CLimits(cpu_ms, wall_ms, memory_bytes, processes, output_bytes, file_bytes)


class Rusage:
    """CPU and wall time in seconds, memory in bytes (0: not measured)."""

    def __init__(self, c):
        self.user, self.system, self.wall = c.user_ns / 1e9, c.system_ns / 1e9, c.wall_ns / 1e9
        self.memory_peak = c.memory_peak_bytes

    def __repr__(self):
        return f"Rusage(user={self.user:.3f}, system={self.system:.3f}, wall={self.wall:.3f}, " \
               f"memory_peak={self.memory_peak})"


_KINDS = {"host": 0, "tmpfs": 1, "proc": 2, "sysfs": 3, "dev": 4, "devpts": 5, "mqueue": 6, "cgroup": 7,
          "virtual": 8}
_MS_RDONLY = 1


class Mount:
    """A mount of the sandbox; the first one of a list is its root ("/")."""

    def __init__(self, kind, target, source=None, *, readonly=False, overlay=False, shared=False, options=None, files=None):
        self.kind, self.target, self.source, self.options, self.files = kind, target, source, options, files
        self.readonly, self.overlay, self.shared = readonly, overlay, shared

    def _c(self):
        return CMount(kind=_KINDS[self.kind], source=_bytes(self.source), target=_bytes(self.target), options=_bytes(self.options),
                      flags=_MS_RDONLY if self.readonly else 0, files=self.files._c() if self.files else None,
                      shared=self.shared, overlay=self.overlay)


def Host(source, target=None, *, readonly=False, overlay=False, shared=False):
    """A directory or file of this machine. overlay: what is written stays in memory and is gone at the end."""
    return Mount("host", target or source, source, readonly=readonly, overlay=overlay, shared=shared)


def tmpfs(target, options=None):
    return Mount("tmpfs", target, options=options)


def Virtual(files, target, *, readonly=False, overlay=False):
    """Files that this program makes: a Files or a Tree."""
    return Mount("virtual", target, files=files, readonly=readonly, overlay=overlay)


class Attr:
    """What a file is. mode has type and permissions (stat.S_IFREG | 0o644)."""

    def __init__(self, mode, size=0, *, uid=0, gid=0, mtime=0.0):
        self.mode, self.size, self.uid, self.gid, self.mtime = mode, size, uid, gid, mtime


class Files:
    """Files that functions make. Derive from it and define getattr(path) -> Attr, and of these what there shall be:

    readdir(path) -> [(name, mode)], readlink(path) -> str, read(path, size, offset) -> bytes,
    write(path, data, offset) -> int, truncate(path, size), create(path, mode), mkdir(path, mode), symlink(path, target),
    unlink(path), rmdir(path), rename(old, new, flags), stop(), statfs() -> (bytes, free bytes, files, free files).

    An OSError is what the program in the sandbox gets as errno; any other exception is EIO to it, and kept in `failed`.
    They are called in a thread of the library, for one mount one at a time. struct moat_files_ops in moat/files.h has
    the details."""

    valid_ms = 0
    failed = None

    def getattr(self, path):
        raise NotImplementedError

    def _call(self, fn, *args):
        try:
            return fn(*args) or 0
        except OSError as e:
            return -(e.errno or 5)
        except BaseException as e:  # noqa: B902: nothing may pass through C
            self.failed = e
            return -5  # EIO

    def _getattr(self, path, ret):
        a, c = self.getattr(os.fsdecode(path)), ret.contents
        c.mode, c.uid, c.gid, c.size = a.mode, a.uid, a.gid, a.size
        c.mtime_s, c.mtime_ns = int(a.mtime // 1), int(a.mtime % 1 * 1e9)

    def _readdir(self, path, out):
        for name, mode in self.readdir(os.fsdecode(path)):
            r = _lib.moat_dir_add(out, os.fsencode(name), mode)
            if r < 0:
                raise OSError(-r, name)

    def _statfs(self, ret):
        c = ret.contents
        c.bytes, c.free_bytes, c.files, c.free_files = self.statfs()

    def _readlink(self, path, buf, size):
        text = os.fsencode(self.readlink(os.fsdecode(path))) + b"\0"
        if len(text) > size:
            raise OSError(36, path)  # ENAMETOOLONG
        ctypes.memmove(buf, text, len(text))

    def _read(self, path, buf, size, offset):
        data = self.read(os.fsdecode(path), size, offset)[:size]
        ctypes.memmove(buf, data, len(data))
        return len(data)

    def _write(self, path, buf, size, offset):
        return self.write(os.fsdecode(path), ctypes.string_at(buf, size), offset)

    def _c(self):
        if not hasattr(self, "_ops"):
            d = os.fsdecode
            adapters = {
                "getattr": lambda u, p, f, a: self._call(self._getattr, p, a),
                "readdir": lambda u, p, out: self._call(self._readdir, p, out),
                "readlink": lambda u, p, b, n: self._call(self._readlink, p, b, n),
                "read": lambda u, p, f, b, n, o: self._call(self._read, p, b, n, o),
                "write": lambda u, p, f, b, n, o: self._call(self._write, p, b, n, o),
                "truncate": lambda u, p, f, n: self._call(self.truncate, d(p), n),
                "create": lambda u, p, m, uid, gid: self._call(self.create, d(p), m),
                "mkdir": lambda u, p, m, uid, gid: self._call(self.mkdir, d(p), m),
                "symlink": lambda u, p, t, uid, gid: self._call(self.symlink, d(p), d(t)),
                "unlink": lambda u, p: self._call(self.unlink, d(p)),
                "rmdir": lambda u, p: self._call(self.rmdir, d(p)),
                "rename": lambda u, a, b, flags: self._call(self.rename, d(a), d(b), flags),
                "stop": lambda u: self._call(self.stop) and None,
                "statfs": lambda u, ret: self._call(self._statfs, ret),
            }
            self._ops = CFilesOps(**{n: t(adapters[n]) for n, t in _OPS if n in adapters and hasattr(self, n)})
            self._files = CFiles(ctypes.pointer(self._ops), None, self.valid_ms)
        return ctypes.pointer(self._files)


class Tree:
    """A tree of files in memory, for any number of sandboxes. What programs write can be read here."""

    def __init__(self, files=None, *, max_bytes=0):
        """files: {path: bytes}."""
        self._t = _lib.moat_tree_new(max_bytes)
        if not self._t:
            raise MemoryError
        for path, data in (files or {}).items():
            self.add(path, data)

    def _do(self, fn, path, *args):
        r = fn(self._t, os.fsencode(path), *args)
        if r < 0:
            raise OSError(-r, os.strerror(-r), path)

    def add(self, path, data, mode=0o644):
        self._do(_lib.moat_tree_add, path, mode, data, len(data))

    def mkdir(self, path, mode=0o755):
        self._do(_lib.moat_tree_mkdir, path, mode)

    def symlink(self, path, target):
        self._do(_lib.moat_tree_symlink, path, os.fsencode(target))

    def remove(self, path):
        self._do(_lib.moat_tree_remove, path)

    def read(self, path):
        data, n = c_void_p(), c_size_t()
        self._do(_lib.moat_tree_read, path, byref(data), byref(n))
        try:
            return ctypes.string_at(data, n.value)
        finally:
            _free(data)

    def _c(self):
        return _lib.moat_tree_files(self._t)

    def __del__(self):
        if getattr(self, "_t", None):
            _lib.moat_tree_free(self._t)


class EventKind(enum.IntEnum):
    CALL = 1
    RETURN = 2
    NEW = 3
    EXEC = 4
    EXIT = 5


class Event:
    """What a program did; moat/trace.h says which of these mean something for which kind. time: seconds as
    time.monotonic has them. text is fit to be printed; comm, path and argv (bytes) are what programs chose. status: as of
    Result."""

    def __init__(self, c):
        self.kind, self.time, self.pid, self.tid = EventKind(c.kind), c.time_ns / 1e9, c.pid, c.tid
        self.comm, self.text, self.nr, self.call = c.comm, c.text.decode(), c.nr, c.call.decode()
        self.args, self.result, self.ppid = tuple(c.args[:c.nargs]), c.result, c.ppid
        self.path, self.argv, self.argv_cut = c.path, c.argv[:c.nargv], c.argv_cut
        self.status = _status(c.status)

    def __repr__(self):
        return f"Event({self.kind.name}, {self.pid}: {self.text})"


class Trace:
    """Have fn(event) called for what programs do: events of `kinds` (of EventKind; default: all), calls and returns only of
    the system calls that `calls` names. It is called in a thread of the library; a program waits while it runs. An
    exception ends nothing and is kept in `failed`, the first one."""

    failed = None

    def __init__(self, fn, *, kinds=(), calls=None):
        self._fn = fn
        self._c_fn = dict(CTrace._fields_)["fn"](self._told)
        self._calls = None if calls is None else _strings(list(calls))
        self._c = CTrace(self._c_fn, None, sum(1 << k for k in set(kinds)), self._calls)

    def _told(self, _user, event):
        try:
            self._fn(Event(event.contents))
        except BaseException as e:  # noqa: B902: nothing may pass through C
            self.failed = self.failed or e


class Oci:
    """The config.json of an OCI bundle, for run() and Sandbox() in the place of args: a directory that has it, or its text
    (str or bytes), whose relative paths begin at `bundle`. What the library does not do by itself (hooks, limits by cgroups,
    terminals, joining namespaces, sysctls, agents of seccomp's) is an Error that begins with the field's name. warnings: what is passed over."""

    _p = None

    def __init__(self, bundle, text=None):
        p, err = POINTER(COci)(), CError()
        if text is None:
            r = _lib.moat_oci_load(_bytes(os.path.abspath(bundle)), 0, byref(p), byref(err))
        else:
            text = text.encode() if isinstance(text, str) else text
            r = _lib.moat_oci_parse(text, len(text), _bytes(os.path.abspath(bundle)), 0, byref(p), byref(err))
        _check(r, err)
        self._p, c = p, p.contents
        self.warnings = [c.warnings[i].decode(errors="replace") for i in range(c.nwarnings)]
        self.annotations = {c.annotations[i].name.decode(): c.annotations[i].value.decode() for i in range(c.nannotations)}

    def _config(self):
        c = CConfig()
        ctypes.memmove(byref(c), byref(self._p.contents.config), ctypes.sizeof(c))
        return c

    def __del__(self):
        if self._p:
            _lib.moat_oci_free(self._p)


def system():
    """The files of this machine, of which nothing is changed, with /proc, /dev and /tmp of the sandbox's own."""
    return [Host("/", overlay=True), Mount("proc", "/proc"), Mount("dev", "/dev"), tmpfs("/tmp", "mode=1777")]


class Result:
    """How a program ended: verdict, status (an exit status, or the negative number of a signal), limits_met (a set of
    Verdict), rusage, out and err (bytes)."""

    def __init__(self, verdict, status, met, usage, out, err):
        self.verdict, self.status = Verdict(verdict), _status(status)
        self.limits_met = {v for v in Verdict if met >> v & 1}
        self.rusage, self.out, self.err = Rusage(usage), out, err

    def __repr__(self):
        return f"Result({self.verdict.name}, status={self.status}, {len(self.out)} and {len(self.err)} bytes)"


def _bytes(s):
    return s if s is None or isinstance(s, bytes) else os.fsencode(s)


def _strings(items):
    """A NULL-terminated array."""
    return (c_char_p * (len(items) + 1))(*[_bytes(s) for s in items], None)


def _status(wait_status):
    return os.waitstatus_to_exitcode(wait_status)


def _check(r, err):
    if r < 0:
        raise Error(-r, err.text.decode(errors="replace"), err.exec)


_ENV = {"PATH": "/usr/local/bin:/usr/bin:/bin"}


def _config_of(args, env, cwd, mounts, uid, gid, network, hostname):
    c = CConfig()
    _lib.moat_config_init(byref(c))
    if not args or isinstance(args, (str, bytes)):
        raise TypeError("args: a list of strings, the program first")
    env = _ENV if env is None else env
    c.args = _strings(list(args))
    c.env = _strings([b"%s=%s" % (_bytes(k), _bytes(v)) for k, v in env.items()])
    c.cwd = _bytes(cwd)
    mounts = system() if mounts is None else list(mounts)
    list_ = [m._c() for m in mounts]
    c.mounts, c.nmounts = (CMount * len(list_))(*list_), len(list_)
    c.uid = os.geteuid() if uid is None else uid
    c.gid = os.getegid() if gid is None else gid
    c.network, c.hostname = _bytes(network), _bytes(hostname)
    return c, mounts


def _config(args, *, env=None, cwd=None, mounts=None, uid=None, gid=None, network=None, hostname=None,
            platform=None, libexec=None, weaker=None, limits=None, trace=None):
    if isinstance(args, Oci):
        if (env, cwd, mounts, uid, gid, network, hostname) != (None,) * 7:
            raise TypeError("env, cwd, mounts, uid, gid, network, hostname: config.json has them")
        c = args._config()
        mounts = args  # what it points to
    else:
        c, mounts = _config_of(args, env, cwd, mounts, uid, gid, network, hostname)
    trace = Trace(trace) if callable(trace) else trace
    c.keep = mounts, trace  # functions of them are called
    c.platform = _bytes(platform)
    c.libexec = _bytes(libexec or os.environ.get("MOAT_LIBEXEC"))
    c.weaker = _bytes(weaker)
    c.killable = True
    if limits:
        c.limits = ctypes.pointer(limits._c)
    if trace:
        c.trace = ctypes.pointer(trace._c)
    return c


def _io(input, merge=False):
    return CIo(input, len(input), 0, merge)


def run(args, *, input=b"", limits=None, merge=False, **config):
    """Run a program (args: a list of strings, or an Oci) in a sandbox of its own until it ends or is killed: a Result. input: bytes that it reads; merge: its
    standard error goes where its standard output does. Of the rest see Sandbox."""
    c, io, res, err = _config(args, **config), _io(input, merge), CResult(), CError()
    _check(_lib.moat_run(byref(c), byref(limits._c) if limits else None, byref(io), byref(res), byref(err)), err)
    try:
        return Result(res.verdict, res.status, res.limits_met, res.usage,
                      ctypes.string_at(res.out, res.out_bytes), ctypes.string_at(res.err, res.err_bytes))
    finally:
        _lib.moat_result_free(byref(res))


class _Waitable:
    _p = None

    @property
    def _open(self):
        if not self._p:
            raise ValueError("it is closed")
        return self._p

    def _wait(self, fn, timeout):
        status, err = c_int(), CError()
        r = fn(self._open, -1 if timeout is None else max(0, int(timeout * 1000)), byref(status), byref(err))
        if r == -110:  # ETIMEDOUT
            raise TimeoutError(err.text.decode())
        _check(r, err)
        return _status(status.value)

    def _output(self, fn, stream):
        data, n = c_void_p(), c_size_t()
        if fn(self._open, stream, byref(data), byref(n)) < 0:
            raise ValueError("that stream is no buffer")
        return ctypes.string_at(data, n.value)

    def _usage(self, fn):
        u = CRusage()
        if fn(self._open, byref(u)) < 0:
            raise ValueError("it has not ended")
        return Rusage(u)


class Process(_Waitable):
    """A program that was spawned in a sandbox. It is killed when it is closed before its end."""

    def __init__(self, sandbox, p):
        self._sandbox, self._p = sandbox, p  # the sandbox lives as long

    @property
    def pid(self):
        """Its number inside."""
        return _lib.moat_process_pid(self._open)

    def wait(self, timeout=None):
        """Its exit status, or the negative number of the signal that ended it. TimeoutError."""
        return self._wait(_lib.moat_process_wait, timeout)

    def output(self, stream=1):
        """What it has written to stream 1 or 2 up to the last wait."""
        return self._output(_lib.moat_process_output, stream)

    def rusage(self):
        return self._usage(_lib.moat_process_rusage)

    def signal(self, signo):
        r = _lib.moat_process_signal(self._open, signo)
        if r < 0:
            raise Error(-r, os.strerror(-r))

    def close(self):
        p, self._p = self._p, None
        if p:
            _lib.moat_process_free(p)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def __del__(self):
        self.close()


class Sandbox(_Waitable):
    """A sandbox with a first program, with which it ends.

    args: the program and its arguments, or an Oci. env: a dict (default: a PATH). cwd. mounts: a list of Mount (default: system()).
    uid, gid: inside (default: those of this process). network: "none" or "host". limits. trace: a Trace, or a function for
    all events. hostname. platform: "trap" or "ptrace". One sandbox is used by one thread at a time."""

    def __init__(self, args, *, input=b"", merge=False, **config):
        c, io, p, err = _config(args, **config), _io(input, merge), c_void_p(), CError()
        _check(_lib.moat_start_io(byref(c), byref(io), byref(p), byref(err)), err)
        self._p, self._keep = p, c.keep

    def spawn(self, args, *, input=b"", merge=False, env=None, cwd=None, uid=None, gid=None):
        """Another program in it: a Process."""
        c, io, p, err = _config(args, env=env, cwd=cwd, uid=uid, gid=gid), _io(input, merge), c_void_p(), CError()
        _check(_lib.moat_spawn_io(self._open, byref(c), byref(io), byref(p), byref(err)), err)
        return Process(self, p)

    def wait(self, timeout=None):
        """As Process.wait, of the first program."""
        return self._wait(_lib.moat_wait_timeout, timeout)

    def output(self, stream=1):
        return self._output(_lib.moat_output, stream)

    def rusage(self):
        return self._usage(_lib.moat_rusage)

    def verdict(self):
        v = c_int()
        if _lib.moat_verdict(self._open, byref(v), None) < 0:
            raise ValueError("it has not ended")
        return Verdict(v.value)

    def signal(self, signo, pid=0):
        """Signal a process by its number inside; 0: the first one."""
        r = _lib.moat_signal(self._open, pid, signo)
        if r < 0:
            raise Error(-r, os.strerror(-r))

    def pause(self):
        err = CError()
        _check(_lib.moat_pause(self._open, byref(err)), err)

    def resume(self):
        err = CError()
        _check(_lib.moat_resume(self._open, byref(err)), err)

    def close(self):
        """End what still runs."""
        p, self._p = self._p, None
        if p:
            _lib.moat_destroy(p)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def __del__(self):
        self.close()


def version():
    return _lib.moat_version().decode()
