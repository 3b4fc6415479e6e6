"""Thousands of hollow nodes in one lab; for lab_bench.py."""
import os
import pathlib
import re
import shutil
import time

from lab_support import Lab, median, report, run, say

HOLLOW, PODS = 5000, 100_000
IDLE = 60  # seconds


def of_process(pid, file, pattern):
    return int(re.search(pattern, pathlib.Path(f"/proc/{pid}/{file}").read_text(), re.MULTILINE).group(1))


def cpu_seconds(pids):
    """User and system time of processes so far."""
    ticks = 0
    for pid in pids:
        ticks += sum(int(field) for field in pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13])
    return ticks / os.sysconf("SC_CLK_TCK")


def hollow(rounds, nodes=int(os.environ.get("HOLLOW_NODES", HOLLOW)), pods=int(os.environ.get("HOLLOW_PODS", PODS))):
    """Registration, pods bound to the nodes, and what it costs to keep them."""
    with Lab() as lab:
        begin = time.monotonic()
        lab.podlab("up", "--hollow", nodes, "--wait", "10m")
        registered = time.monotonic() - begin
        report(f"{nodes} hollow nodes, from up to all Ready", registered, "s")
        created, running = lab.bench("bound", pods, nodes)
        report(f"{pods} pods bound to them, created", created, "s")
        report("the same, all Running", running, "s")
        report("from up to all Running", registered + running, "s", ("<", 60))

        processes = {name: lab.processes(name) for name in ("lab", "server", "hollow")}
        for when in ("just written", f"after {IDLE} s"):
            memory = {name: sum(of_process(pid, "smaps_rollup", r"^Pss:\s+(\d+)") for pid in found) / 1024
                      for name, found in processes.items()}
            report(f"memory (PSS) of all processes, {when}", sum(memory.values()), "MB", ("<", 1000),
                   ", ".join(f"{name} {megabytes:.0f} MB" for name, megabytes in memory.items()))
            if when == "just written":
                before = {name: cpu_seconds(found) for name, found in processes.items()}
                time.sleep(IDLE)
                used = {name: (cpu_seconds(found) - before[name]) / IDLE * 100 for name, found in processes.items()}
        report(f"CPU of all processes, idle but for heartbeats, over {IDLE} s", sum(used.values()), "% of a core", ("<", 20),
               ", ".join(f"{name} {share:.1f} %" for name, share in used.items()))
        for program in ("kubectl", lab.program):
            if not shutil.which(program):
                say(f"{program}: not installed, not measured")
                continue
            took = []
            for _ in range(rounds):
                begin = time.monotonic()
                lines = run(program, "get", "nodes", env=lab.environment).splitlines()
                took.append(time.monotonic() - begin)
                if len(lines) != nodes + 1:
                    raise RuntimeError(f"{len(lines) - 1} of {nodes} nodes are listed")
            report(f"{pathlib.Path(program).name} get nodes", median(took), "s", ("<", 1), runs=took)
        if {name: lab.processes(name) for name in processes} != processes:
            raise RuntimeError(f"not all of {processes} have lived on")
