"""Figures of the REST API: creates, lists, watches, and what idle watches cost."""
import pathlib
import re
import subprocess

from lab_support import BUILD, Lab, report, run

CLIENTS = 32
WATCHERS = 1000
IDLE = 10_000
PODS = 10_000
TOOL = BUILD / "bench" / "podlab_rest_load_bench"


def target(lab):
    """Where the lab's API is, and its certificates."""
    (pki,) = lab.state.glob("*/pki")
    return re.search(r"server: https://(\S+)", lab.podlab("kubeconfig")).group(1), pki


def memory(lab):
    """Resident kilobytes of the lab's server."""
    for status in pathlib.Path("/proc").glob("[0-9]*/status"):
        try:
            words = status.with_name("cmdline").read_bytes().split(b"\0")
            if words[1:2] == [b"server"] and any(str(lab.state).encode() in word for word in words):
                return int(re.search(r"VmRSS:\s+(\d+)", status.read_text()).group(1))
        except OSError:
            pass
    raise RuntimeError("the lab has no server")


def rest(_rounds):
    with Lab(1) as lab:
        lab.up()
        where = target(lab)

        def load(*words):
            return float(run(TOOL, *where, *words))
        report(f"creates of ConfigMaps over {CLIENTS} TLS connections", load("create", "configmaps", CLIENTS, 30_000), "/s",
               (">=", 15_000), "Kubernetes 1.20's API server 400 to 770/s")
        lab.podlab("delete", "cm", "--all")
        report(f"creates of pods over {CLIENTS} TLS connections", load("create", "pods", CLIENTS, PODS), "/s")
        report(f"lists of {PODS} pods", load("list", "pods", 4, 20), "MB/s", (">=", 200))
        report(f"events delivered to {WATCHERS} watchers", load("watch", WATCHERS, 500), "/s", (">=", 500_000))
        before = memory(lab)
        with subprocess.Popen([TOOL, *map(str, where), "idle", str(IDLE)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as idle:
            idle.stdout.readline()
            report(f"memory of {IDLE} idle watches, each", (memory(lab) - before) / IDLE, "kB")
            idle.stdin.close()
