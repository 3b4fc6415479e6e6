"""Figures of whole labs, each beside its goal and, where there is one, a yardstick measured in the same run.

  PODLAB_BUILD=build/release nice -n -15 python3 bench/lab_bench.py [NAME...] [--rounds N]

Needs root and the release build. What belongs together is measured in turns, so that other load on the machine
meets both alike; figures are medians. docs/benchmarks.md says what is compared and why.
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

from container_figures import dense, pss, start_cost
from hollow_figures import hollow
from lab_support import BUILD, POD_SENTINEL, Lab, Namespace, load, median, report, run, say
from policy_figures import policy
from rest_figures import bound, creates, scale, watches
from stream_figures import exec_round_trip, logs

HERE = pathlib.Path(__file__).resolve().parent
NODES = 3
USER = "podlab-bench"


# Starting a lab

def up(rounds):
    def measure(user):
        with Lab(NODES, user) as lab:
            return lab.up()

    run("useradd", "--system", "--no-create-home", "--shell", "/bin/sh", USER)
    try:
        measure(None), measure(USER)
        root, rootless = [], []
        for _ in range(rounds):
            root.append(measure(None))
            rootless.append(measure(USER))
    finally:
        run("userdel", USER)
    report("up of 3 nodes to all Ready, as root", median(root), "s", ("<", 0.5), runs=root)
    report("up of 3 nodes to all Ready, rootless", median(rootless), "s", ("<", 0.8), runs=rootless)


# Pods

def ready(rounds):
    with Lab(NODES) as lab:
        lab.up()
        lab.bench("latency", 5, 1)
        lab.bench("delete")
        for containers in (1, 2):
            taken = []
            for _ in range(rounds):
                taken += lab.bench("latency", 20, containers)
                lab.bench("delete")
            taken.sort()
            report(f"create to Ready of one pod of {containers} container{'s' * (containers > 1)}", median(taken), "ms",
                   ("<", 60) if containers == 1 else None,
                   f"p90 {taken[len(taken) * 9 // 10]:.3g} ms, least {taken[0]:.3g} ms, {len(taken)} pods")


def pods(rounds, count=100):
    bare = BUILD / "bench" / "podlab_bare_pods_bench"
    with Lab(NODES) as lab:
        lab.up()
        lab.bench("rate", count, 2)
        lab.bench("delete")
        run(bare, count, NODES, 2)
        ours, same, less = [], [], []
        for _ in range(rounds):
            same.append(count / float(run(bare, count, NODES, 2, "cgroups")))
            ours.append(count / lab.bench("rate", count, 2)[0])
            lab.bench("delete")
            less.append(count / float(run(bare, count, NODES, 2)))
    report(f"pods/s, {count} pods of two containers on {NODES} nodes", median(ours), "pods/s", runs=ours)
    report("a bare loop of the same pods", median(same), "pods/s", runs=same)
    report("pods/s to that loop's", median([a / b for a, b in zip(ours, same)]), "", (">=", 0.7))
    report("pods/s to those of the loop without cgroups", median([a / b for a, b in zip(ours, less)]), "",
           yardstick=f"the loop: {median(less):.3g} pods/s")
    return median(ours)


PODMAN_SET_UP = """
umount -l /sys/fs/cgroup/unified 2>/dev/null
ip link set lo up
mkdir -p {folder}/rootfs && cd {folder}/rootfs && mkdir -p usr proc dev sys tmp etc run var
for name in bin lib lib64 sbin; do ln -sfn usr/$name $name; done
tar cf ../rootfs.tar . && {podman} import ../rootfs.tar host >/dev/null
"""


def podman(rounds, count=12):
    """The same pods with podman, three loops side by side as three agents would be."""
    if not shutil.which("podman"):
        say("podman: not installed, not measured (apt-get install podman)")
        return
    folder = pathlib.Path(tempfile.mkdtemp(prefix="podlab-podman-"))
    command = (f"podman --root {folder}/root --runroot {folder}/runroot --cgroup-manager=cgroupfs --runtime crun "
               "--events-backend=none")
    # One pod: a pause container of the same image, then its two containers; the host's /usr is their file system.
    worker = f"""
for i in $(seq {count // NODES}); do
  {command} pod create --name $1-$i --infra-image localhost/host --infra-command 'sleep infinity' -v /usr:/usr:ro
  for c in 0 1; do {command} run -d --pod $1-$i --name $1-$i-$c localhost/host sleep infinity; done
done >/dev/null"""
    (folder / "worker").write_text(worker)
    script = PODMAN_SET_UP.format(folder=folder, podman=command) + f"""
{command} run --rm -v /usr:/usr:ro localhost/host true
begin=$(date +%s.%N)
for w in $(seq {NODES}); do sh -e {folder}/worker $w & done
for job in $(jobs -p); do wait $job || exit 1; done
echo $begin $(date +%s.%N)
{command} pod rm -a -f -t 0 >/dev/null
"""
    bare = BUILD / "bench" / "podlab_bare_pods_bench"
    theirs, ours = [], []
    try:
        with Lab(NODES) as lab:
            lab.up()
            lab.bench("rate", 100, 2)
            lab.bench("delete")
            for _ in range(rounds):
                out = run("unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "--propagation", "private",
                          "bash", "-c", script)
                begin, end = (float(part) for part in out.split())
                theirs.append(count / (end - begin))
                ours.append(100 / lab.bench("rate", 100, 2)[0])
                lab.bench("delete")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    report("podman pod, the same pods, three loops side by side", median(theirs), "pods/s", runs=theirs)
    report("pods/s to podman's", median([a / b for a, b in zip(ours, theirs)]), "", (">=", 20), runs=ours)


# The network

def pod_process(lab, pod):
    """A process of that pod, as the host counts pids: the only `sleep` below the lab in the pod's network."""
    address = json.loads(lab.podlab("get", "pod", pod, "-o", "json"))["status"]["podIP"]
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cmdline").read_bytes().endswith(POD_SENTINEL) and \
                    address in (entry / "net" / "fib_trie").read_text():
                own = run("nsenter", "-t", entry.name, "-n", "ip", "-o", "address", "show", "eth0")
                if address + "/" in own:
                    return entry.name, address
        except OSError:
            pass
    raise SystemExit(f"no process of pod {pod} found")


def throughput(sender, receiver, address, seconds=1.0):
    """Gbit/s of one TCP stream between two processes' network namespaces."""
    program = ["/usr/bin/python3", str(HERE / "tcp_stream.py")]

    def inside(pid):
        return ["nsenter", "-t", str(pid), "-n", *program]

    sink = subprocess.Popen([*inside(receiver), "receive", "5201"], stdout=subprocess.PIPE, text=True)
    sink.stdout.readline()
    run(*inside(sender), "send", address, "5201", seconds)
    rate = float(sink.stdout.read())
    sink.wait()
    return rate


def links_by_hand():
    """Two pods on two nodes, with nothing but `ip` and `bridge`: underlay bridge, veths, VXLAN with static entries."""
    underlay, nodes, ends = Namespace(), [Namespace(), Namespace()], [Namespace(), Namespace()]
    underlay.run("ip", "link", "add", "br0", "type", "bridge")
    underlay.run("ip", "link", "set", "br0", "up")
    for i, (node, pod) in enumerate(zip(nodes, ends), 1):
        other = 3 - i
        underlay.run("ip", "link", "add", f"n{i}", "type", "veth", "peer", "name", "eth0", "netns", node.pid)
        underlay.run("ip", "link", "set", f"n{i}", "master", "br0", "up")
        for command in (
                f"ip address add 192.0.2.{i}/24 dev eth0",
                "ip link set eth0 up",
                f"ip link add cni0 address 0a:00:00:00:00:0{i} mtu 1450 type bridge",
                f"ip address add 10.99.{i}.1/24 dev cni0",
                "ip link set cni0 up",
                f"ip link add vx0 address 0e:00:00:00:00:0{i} mtu 1450 type vxlan id 1 local 192.0.2.{i} dev eth0 "
                "dstport 8472 nolearning",
                f"ip address add 10.99.{i}.0/32 dev vx0",
                "ip link set vx0 up",
                f"ip neighbour add 10.99.{other}.0 lladdr 0e:00:00:00:00:0{other} dev vx0 nud permanent",
                f"bridge fdb add 0e:00:00:00:00:0{other} dev vx0 dst 192.0.2.{other} self permanent",
                f"ip route add 10.99.{other}.0/24 via 10.99.{other}.0 dev vx0 onlink",
                f"ip link add p0 mtu 1450 type veth peer name eth0 mtu 1450 netns {pod.pid}",
                "ip link set p0 master cni0 up",
                "sysctl -qw net.ipv4.ip_forward=1"):
            node.run(*command.split())
        for command in (f"ip address add 10.99.{i}.2/24 dev eth0", "ip link set eth0 up",
                        f"ip route add default via 10.99.{i}.1"):
            pod.run(*command.split())
    return [underlay, *nodes, *ends], ends


def tcp(rounds):
    manifest = "".join(f"""---
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  nodeName: {node}
  containers: [{{name: c, image: host, command: [sleep, infinity]}}]
""" for name, node in (("a", "node1"), ("b", "node2")))
    with Lab(2) as lab:
        lab.up()
        (lab.state / "pods.yaml").write_text(manifest)
        lab.podlab("apply", "-f", lab.state / "pods.yaml")
        lab.podlab("wait", "pod", "a", "b", "--for", "condition=Ready", "--timeout", "30s")
        (sender, _), (receiver, address) = pod_process(lab, "a"), pod_process(lab, "b")
        namespaces, ends = links_by_hand()
        try:
            overlay, hand = [], []
            paths = [(overlay, sender, receiver, address), (hand, ends[0].pid, ends[1].pid, "10.99.2.2")]
            for turn in range(-1, 2 * rounds):
                # Each is as often the first as the second: what runs first heats the processor for the other.
                for figures, source, sink, target in paths if turn % 2 else reversed(paths):
                    figures.append(throughput(source, sink, target))
                if turn < 0:  # to warm up
                    overlay.clear()
                    hand.clear()
        finally:
            for namespace in namespaces:
                namespace.close()
    report("TCP between pods of two nodes over the overlay", median(overlay), "Gbit/s", runs=overlay)
    report("TCP over the same links by hand", median(hand), "Gbit/s", runs=hand)
    report("TCP over the overlay to by hand", median(overlay) / median(hand), "", (">=", 0.97),
           f"median of the pairs' ratios {median([a / b for a, b in zip(overlay, hand)]):.3f}")


def reach(rounds, count=60):
    taken, inside = [], []
    with Lab(NODES) as lab:
        lab.up()
        lab.bench("rate", count, 1)
        for turn in range(-1, rounds):
            begin = time.monotonic()
            done = json.loads(lab.podlab("reach", "--port", "probe", "-o", "json"))
            if turn >= 0:
                taken.append(time.monotonic() - begin)
            probes = len(done["probes"])
            if probes != count * count * 3 or not all(probe["ok"] for probe in done["probes"]):
                raise SystemExit("reach: not all pods reach all")
    report(f"reach, {count} pods, {probes} probes, command start to end", median(taken), "s", ("<", 1), runs=taken)
    return median(taken)


def cells(rounds, count=300):
    """All pairs of many pods, from the first receiver's opening to the last arrival's count."""
    rates = []
    with Lab(NODES) as lab:
        lab.up()
        lab.bench("rate", count, 1)
        for turn in range(-1, rounds):
            measured = json.loads(lab.podlab("reach", "--port", "probe", "-o", "json"))
            if len(measured["probes"]) != count * count * 3 or not measured["ok"]:
                raise SystemExit(f"reach: {measured['unexpected']} of {len(measured['probes'])} probes failed")
            if turn >= 0:
                rates.append(len(measured["probes"]) / measured["tookMilliseconds"] * 1000)
    report(f"reach, {count} pods, all pairs, three protocols", median(rates), "cells/s", (">=", 100_000), runs=rates)


MININET = """
import sys, time
try:
    from mininet.net import Mininet
    from mininet.nodelib import LinuxBridge
    from mininet.topo import SingleSwitchTopo
except ImportError as error:
    sys.exit(f"unavailable: {error}")
net = Mininet(topo=SingleSwitchTopo(int(sys.argv[1])), switch=LinuxBridge, controller=None)
net.start()
begin = time.monotonic()
lost = net.pingAll()
print("took", time.monotonic() - begin, lost)
net.stop()
"""


def mininet(rounds, hosts=60):
    """pingAll of 60 hosts on one Linux bridge: ICMP only, one pair after the other."""
    if not shutil.which("mn") or not shutil.which("brctl") or not shutil.which("ping"):
        say("mininet: not installed, not measured (apt-get install mininet bridge-utils iputils-ping)")
        return
    theirs = []
    ours = reach(rounds, hosts)
    for _ in range(max(1, rounds // 5)):
        out = run("unshare", "--mount", "--net", "/usr/bin/python3", "-c", MININET, hosts)
        took, lost = next(line.split()[1:] for line in out.splitlines() if line.startswith("took"))
        if float(lost) > 0:
            say(f"mininet: {lost}% of the pings were lost")
        theirs.append(float(took))
    report(f"mininet's pingall, {hosts} hosts on one bridge, ICMP only", median(theirs), "s", runs=theirs)
    report("mininet's pingall to reach", median(theirs) / ours, "times as long")


# Memory

def memory(rounds):
    agents, servers, labs, shims = [], [], [], []
    for _ in range(min(rounds, 3)):
        with Lab(NODES) as lab:
            lab.up()
            time.sleep(3)
            agents += [pss(pid) for pid in lab.processes("agent")]
            shims += [pss(pid) for pid in lab.processes("shim")]
            servers += [pss(pid) for pid in lab.processes("server")]
            labs += [pss(pid) for pid in lab.processes("lab")]
    report("PSS of an idle agent", median(agents), "MB", ("<", 12), runs=agents)
    report("PSS of its shim parent", median(shims), "MB")
    report("PSS of the server", median(servers), "MB", ("<", 25), runs=servers)
    report("PSS of the lab's first process", median(labs), "MB")


BENCHMARKS = {"up": up, "ready": ready, "pods": pods, "podman": podman, "tcp": tcp, "reach": reach, "cells": cells,
              "policy": policy, "mininet": mininet, "memory": memory, "dense": dense,
              "start": start_cost, "exec": exec_round_trip, "logs": logs,
              "creates": creates, "watches": watches, "bound": bound, "scale": scale, "hollow": hollow}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--rounds", type=int, default=5, help="repetitions of each measurement (default %(default)s)")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    if os.geteuid() != 0:
        parser.error("needs root: for namespaces of its own, and to become an ordinary user")
    for name in arguments.names or [name for name in BENCHMARKS if name != "reach"]:
        say(f"== {name} ({load()})")
        BENCHMARKS[name](arguments.rounds)


if __name__ == "__main__":
    main()
