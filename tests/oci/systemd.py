# SPDX-License-Identifier: Apache-2.0
"""A stand-in for systemd on a bus of its own: it makes the group of a scope, and writes down what it was asked.

usage: systemd.py ADDRESS LOG FAIL      FAIL: a unit's name that cannot be made, or "-"
"""
import errno, glob, os, sys, time

import dbus, dbus.bus, dbus.service
from dbus.mainloop.glib import DBusGMainLoop
from gi.repository import GLib

NAME = "org.freedesktop.systemd1"
MANAGER = NAME + ".Manager"
address, log, failing = sys.argv[1:]
TOPS = [t for t in glob.glob("/sys/fs/cgroup/*") if os.path.exists(t + "/cgroup.procs") and os.path.isdir(t)]
if os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
    TOPS = ["/sys/fs/cgroup"]


def say(*what):
    with open(log, "a") as f:
        print(*what, file=f)


def show(v):
    if isinstance(v, dbus.Array):
        return "[" + " ".join(show(x) for x in v) + "]"
    return f"{type(v).__name__}:{int(v) if isinstance(v, (int, dbus.Boolean)) else v}"


def remove(group):
    """When its last process has ended, for which systemd waits too."""
    for _ in range(500):
        try:
            return os.rmdir(group)
        except OSError as e:
            if e.errno != errno.EBUSY:
                raise
        time.sleep(0.01)


class Manager(dbus.service.Object):
    made = {}

    @dbus.service.method(MANAGER, in_signature="ssa(sv)a(sa(sv))", out_signature="o")
    def StartTransientUnit(self, unit, mode, properties, aux):
        p = dict((str(k), v) for k, v in properties)
        if len(p) != len(properties):
            raise dbus.DBusException("twice", name="org.freedesktop.DBus.Error.InvalidArgs")
        pids = [int(x) for x in p.pop("PIDs")]
        say("start", unit, mode, *(f"{k}={show(v)}" for k, v in sorted(p.items())))
        if unit != failing:
            for t in TOPS:
                d = f"{t}/{p['Slice']}/{unit}"
                os.makedirs(d, exist_ok=True)
                self.made.setdefault(unit, []).append(d)
                for f in ("cpuset.cpus", "cpuset.mems"):
                    for at in (f"{t}/{p['Slice']}", d):
                        if os.path.exists(f"{at}/{f}") and not open(f"{at}/{f}").read().strip():
                            open(f"{at}/{f}", "w").write(open(f"{t}/{f}").read())
                for pid in pids:
                    open(d + "/cgroup.procs", "w").write(str(pid))
        job = dbus.ObjectPath("/org/freedesktop/systemd1/job/7")
        GLib.timeout_add(50, lambda: self.JobRemoved(7, job, unit, "failed" if unit == failing else "done") and False)
        return job

    @dbus.service.signal(MANAGER, signature="uoss")
    def JobRemoved(self, id, job, unit, result):
        pass

    @dbus.service.method(MANAGER, in_signature="sba(sv)")
    def SetUnitProperties(self, unit, runtime, properties):
        say("set", unit, int(runtime), *(f"{k}={show(v)}" for k, v in properties))

    @dbus.service.method(MANAGER, in_signature="ss", out_signature="o")
    def StopUnit(self, unit, mode):
        say("stop", unit, mode)
        for d in self.made.pop(unit, []):  # groups in hierarchies without controllers are systemd's own
            if os.path.isdir(d) and d.split("/")[4] in ("unified", "systemd"):
                remove(d)
        raise dbus.DBusException("not loaded", name=NAME + ".NoSuchUnit")

    @dbus.service.method(MANAGER, in_signature="s")
    def ResetFailedUnit(self, unit):
        say("reset", unit)


DBusGMainLoop(set_as_default=True)
bus = dbus.bus.BusConnection(address)
name = dbus.service.BusName(NAME, bus)
Manager(name, "/org/freedesktop/systemd1")
say("ready")
GLib.MainLoop().run()
