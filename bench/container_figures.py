"""What a container costs beyond itself: CPU time of its start, memory of its keeping; for lab_bench.py."""
import json
import pathlib
import shutil
import time

from lab_support import Lab, median, report, run

CLUSTER = """
apiVersion: podlab.io/v1alpha1
kind: Cluster
nodes: [{{name: node1, maxPods: {pods}}}]
"""


class CpuAccount:
    """A cgroup that counts the CPU time of the processes started in it, beside other cgroups that it adds up."""

    def __init__(self, name):
        v1 = pathlib.Path("/sys/fs/cgroup/cpuacct")
        self.root = v1 if v1.is_dir() else pathlib.Path("/sys/fs/cgroup")
        self.unified = self.root != v1
        self.folder = self.root / name
        self.folder.mkdir()
        self.others = []

    def prefix(self):
        """Words before a command that make it start in the cgroup."""
        return ["sh", "-c", f'echo $$ > {self.folder}/cgroup.procs; exec "$@"', "sh"]

    def seconds(self):
        total = 0
        for folder in (self.folder, *self.others):
            if self.unified:
                fields = dict(line.split() for line in (folder / "cpu.stat").read_text().splitlines())
                total += int(fields["usage_usec"]) / 1e6
            else:
                total += int((folder / "cpuacct.usage").read_text()) / 1e9
        return total

    def close(self):
        """Removes it, also from the hierarchies in which crun has made it beside its containers' cgroups."""
        hierarchies = [self.root] if self.unified else self.root.parent.iterdir()
        for folder in (hierarchy / self.folder.name for hierarchy in hierarchies):
            for _ in range(100):
                try:
                    folder.rmdir()
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.05)


def start_cost(rounds, pods=20, containers=6, bare=60):
    """CPU time that one more container of a pod takes to start, all told, to that of `crun run` with the same config.json."""
    account = CpuAccount("podlab-bench")
    ours, theirs = [], []
    try:
        with Lab(1) as lab:
            lab.prefix = account.prefix()
            lab.up()
            lab.prefix = []
            account.others = [pathlib.Path(line) for line in (lab.state / "default/cgroups").read_text().splitlines()
                              if line.startswith(f"{account.root}/")]

            def pods_of(each):
                begin = account.seconds()
                lab.bench("rate", pods, each)
                time.sleep(1)  # what the agent and the server do afterwards
                used = account.seconds() - begin
                lab.bench("delete")
                return used

            pods_of(containers)
            for _ in range(rounds):
                ours.append((pods_of(containers) - pods_of(1)) / pods / (containers - 1) * 1000)
                lab.bench("rate", 1, 1)
                theirs.append(crun_run(lab, account, bare) * 1000)
                lab.bench("delete")
    finally:
        account.close()
    report("CPU time of a container's start, of all processes", median(ours), "ms", runs=ours)
    report("the same to crun run", median([a / b for a, b in zip(ours, theirs)]), "times", ("<", 1.3),
           f"crun run: {median(theirs):.3g} ms", runs=theirs)


# In the agent's namespaces, in the account's cgroup. The containers are deleted when the account has been read.
CRUN_RUN = """
crun() {{ command crun --root {folder}/state --cgroup-manager=cgroupfs "$@"; }}
i=0
while [ $i -lt {count} ]; do
  crun run --detach --bundle {folder} podlab-bench-$i </dev/null >/dev/null 2>&1 || exit 1
  i=$((i+1))
done
"""
CRUN_DELETE = """
i=0
while [ $i -lt {count} ]; do
  crun --root {folder}/state --cgroup-manager=cgroupfs delete -f podlab-bench-$i
  i=$((i+1))
done
"""


def crun_run(lab, account, count):
    """Seconds of CPU time of one `crun run` of the configuration of the lab's only container."""
    (agent,) = lab.processes("agent")
    arguments = pathlib.Path(f"/proc/{agent}/cmdline").read_bytes().decode().split("\0")
    containers = pathlib.Path(arguments[arguments.index("--run-dir") + 1]) / "containers/containers"
    (config,) = pathlib.Path(f"/proc/{agent}/root{containers}").glob("*/config.json")
    bundle = json.loads(config.read_text())
    bundle["linux"]["cgroupsPath"] = f"/{account.folder.name}/crun"
    folder = lab.state / "bare"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(bundle))
    inside = ["nsenter", "-t", agent, "-m", "-p", "-n", "sh", "-ec"]
    begin = account.seconds()
    run(*account.prefix(), *inside, CRUN_RUN.format(folder=folder, count=count))
    used = account.seconds() - begin
    run(*inside, CRUN_DELETE.format(folder=folder, count=count))
    shutil.rmtree(folder)
    return used / count


def pss(pid):
    """Megabytes."""
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"no Pss of {pid}")


def dense(rounds, pods=200):
    """Memory of all of podlab's processes for each pod, with many pods on one node."""
    def total(lab):
        time.sleep(3)
        return sum(pss(pid) for command in ("lab", "node-init", "server", "agent", "shim") for pid in lab.processes(command))

    taken = []
    for _ in range(min(rounds, 3)):
        with Lab(1) as lab:
            (lab.state / "cluster.yaml").write_text(CLUSTER.format(pods=pods))
            lab.podlab("up", "-f", lab.state / "cluster.yaml")
            idle = total(lab)
            lab.bench("rate", pods, 1)
            taken.append((total(lab) - idle) / pods)
    report(f"memory (PSS) of podlab's processes for each of {pods} pods on one node", median(taken), "MB", ("<", 1.5), runs=taken)
