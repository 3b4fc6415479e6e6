"""Figures of exec and of containers' logs, for lab_bench.py."""
import json
import pathlib
import subprocess
import time

from lab_support import Lab, median, report, run

POD = """
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: host
    command: {command}
"""
# Writes $MB megabytes in lines of 100 bytes, 64 KB at a time, as fast as it can or at $PACE MB/s, and tells on stderr for
# how many seconds.
WRITER = """
use Time::HiRes qw(time sleep);
my ($mb, $pace) = @ARGV;
my $block = ("x" x 99 . "\\n") x 655;
my ($begin, $written) = (time, 0);
while ($written < $mb * 1e6) {
  if ($pace) {
    my $early = $begin + $written / ($pace * 1e6) - time;
    sleep $early if $early > 0;
  }
  $written += syswrite(STDOUT, $block) // die "write: $!";
}
printf STDERR "took %.6f\\n", time - $begin;
"""


def apply(lab, name, command):
    subprocess.run([*lab.prefix, lab.program, "apply", "-f", "-"], env=lab.environment, check=True, stdout=subprocess.DEVNULL,
                   input=POD.format(name=name, command=json.dumps(command)), text=True)


def exec_round_trip(rounds, count=50):
    """`podlab exec POD -- true` against `crun exec` of the same container, from processes' starts to their ends."""
    with Lab(1) as lab:
        lab.up()
        apply(lab, "idle", ["sleep", "infinity"])
        lab.podlab("wait", "pod", "idle", "--for", "condition=Ready")
        uid = json.loads(lab.podlab("get", "pod", "idle", "-o", "json"))["metadata"]["uid"]
        (agent,) = lab.processes("agent")
        arguments = pathlib.Path(f"/proc/{agent}/cmdline").read_bytes().decode().split("\0")
        state = arguments[arguments.index("--run-dir") + 1] + "/containers/runtime"
        crun = f"crun --root {state} --cgroup-manager=disabled exec {uid}_main_0 true"
        own = f"{lab.program} exec idle -- true"

        def each(command, *prefix):
            begin = time.monotonic()
            run(*prefix, "sh", "-c", f"i=0; while [ $i -lt {count} ]; do {command} || exit 1; i=$((i+1)); done",
                env=lab.environment)
            return (time.monotonic() - begin) / count * 1000

        asked, ours, theirs = [], [], []
        each(own)
        for _ in range(rounds):
            asked.append(median(lab.bench("exec", "idle", count)))
            ours.append(each(own))
            theirs.append(each(crun, "nsenter", "-t", agent, "-m", "-p", "-n"))
        crun_exec = f"crun exec: {median(theirs):.3g} ms"
        for what, taken in (("exec of true, from request to exit code", asked), ("podlab exec of true, the whole command", ours)):
            report(what, median(taken), "ms", runs=taken)
            report("the same to crun exec of the same container", median([a / b for a, b in zip(taken, theirs)]), "times",
                   ("<", 1.5), crun_exec)


def logs(rounds):
    """How fast a container can log, and how much its log slows it, against a pipe that is drained."""
    with Lab(1) as lab:
        lab.up()
        runs = 0

        def logged(megabytes, pace):
            nonlocal runs
            runs += 1
            name = f"writer{runs}"
            apply(lab, name, ["perl", "-e", WRITER, str(megabytes), str(pace)])
            while json.loads(lab.podlab("get", "pod", name, "-o", "json"))["status"]["phase"] != "Succeeded":
                time.sleep(0.2)
            took = float(lab.podlab("logs", name, "--tail", "1").split()[1])
            lab.podlab("delete", "pod", name)
            return took

        def piped(megabytes, pace):
            writer = subprocess.Popen(["perl", "-e", WRITER, str(megabytes), str(pace)], stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE)
            drain = subprocess.Popen(["cat"], stdin=writer.stdout, stdout=subprocess.DEVNULL)
            writer.stdout.close()
            took = float(writer.stderr.read().split()[1])
            writer.stderr.close()
            writer.wait(), drain.wait()
            return took

        logged(10, 0)
        full, free, paced, piped_paced = [], [], [], []
        for _ in range(rounds):
            full.append(400 / logged(400, 0))
            free.append(400 / piped(400, 0))
            paced.append(logged(300, 100))
            piped_paced.append(piped(300, 100))
        report("log of a container that writes as fast as it can", median(full), "MB/s", (">=", 100),
               f"into a drained pipe: {median(free):.0f} MB/s", runs=full)
        report("time of a container that writes 100 MB/s, to that with a drained pipe",
               median([a / b for a, b in zip(paced, piped_paced)]), "times", ("<", 1.02),
               f"{median(paced):.3f} s for 300 MB", runs=paced)
