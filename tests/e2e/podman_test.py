"""The same specification gives the same container in podlab and in podman.

podman is the oracle. Where it rightly differs, for it is not Kubernetes and its seccomp profile is not Docker's, the difference
stands here with its reason; everything else is equal.
"""
import ctypes
import errno
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from harness import PODLAB, LabTestCase, eventually

PROBE = PODLAB.resolve().parent / "tests/e2e/podlab_syscall_probe"
IMAGE = "docker.io/library/busybox:latest"
CLUSTER = """
apiVersion: podlab.io/v1alpha1
kind: Cluster
nodes:
- name: node1
  podPidsLimit: 50
"""
# podman's own default set is smaller; with Docker's it is the oracle of Docker's.
CAPABILITIES = ("CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL "
                "AUDIT_WRITE").split()

# In all tables of known differences: key -> (podlab's value, podman's value); None is absent, ... is anything.

CRI_FILES = {  # kubelet's, and podman's own
    "/dev/termination-log": (..., None),
    "/run/.containerenv": (None, ...),
}
SIZES = {
    "/dev/shm": (("tmpfs", "rw,nosuid,nodev,noexec,relatime", "rw,size=65536k"),  # 64 MiB, as Docker and containerd
                 ("tmpfs", "rw,nosuid,nodev,noexec,relatime", "rw,size=64000k")),
    # The runtime makes it for podman, podlab for itself: only folders are in it.
    "/sys/fs/cgroup": (("tmpfs", "rw,nosuid,nodev,noexec,relatime", "rw,mode=755"),
                       ("tmpfs", "rw,nosuid,nodev,noexec,relatime", "rw,size=1024k")),
}
# Docker and containerd leave out noexec.
DEV = {"/dev": (("tmpfs", "rw,nosuid", "rw,size=65536k,mode=755"), ("tmpfs", "rw,nosuid,noexec", "rw,size=65536k,mode=755"))}
# podlab uses the controllers of which Kubernetes has limits, and no others.
CONTROLLERS = {f"/sys/fs/cgroup/{name}": (None, ...) for name in (
    "blkio", "cpuset", "freezer", "hugetlb", "misc", "net_cls", "net_cls,net_prio", "net_prio", "perf_event", "rdma", "systemd")}
MASKED = {
    "/proc/interrupts": (("/dev/null", "ro,relatime", ""), None),  # Docker's since version 28
    "/sys/dev/block": (None, ("tmpfs", "ro,relatime", "rw,size=0k")),  # podman's own
    "/sys/fs/selinux": (None, ...),  # podman's own
}
# Of the node's memory, which is mounted so; podman's are in its own folder.
ETC = {file: (("bind", "rw,nosuid,nodev,relatime", ""), ("bind", "rw,relatime", "")) for file in ("/etc/hosts", "/etc/hostname")}
ETC["/etc/resolv.conf"] = (("bind", "rw,nosuid,nodev,relatime", ""), ...)  # podman makes none for a container without network
MOUNTS = {**ETC, **CRI_FILES, **SIZES, **DEV, **CONTROLLERS}
# containerd makes these two read-only with the root; /etc/hosts is kubelet's and stays. podman forbids more.
READ_ONLY_ROOT = {
    "/etc/hosts": (("bind", "rw,nosuid,nodev,relatime", ""), ("bind", "ro,nosuid,nodev,noexec,relatime", "")),
    "/etc/hostname": (("bind", "ro,nosuid,nodev,relatime", ""), ("bind", "ro,nosuid,nodev,noexec,relatime", "")),
    "/etc/resolv.conf": (("bind", "ro,nosuid,nodev,relatime", ""), None),
}

VARIABLES = {
    "container": (None, "podman"),
    **dict.fromkeys(("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "KUBERNETES_SERVICE_PORT_HTTPS"), (..., None)),
    "TERM": (None, "xterm"),  # podman sets it for every container, CRI for those with a terminal
}

REFUSED = ("EPERM", "ENOSYS")  # by both: Docker says that it is not permitted, podman that there is no such call
SYSTEM_CALLS = {
    # Nobody has them.
    **dict.fromkeys(("_sysctl", "afs_syscall", "create_module", "get_kernel_syms", "getpmsg", "putpmsg", "security", "tuxcall",
                     "vserver"), REFUSED),
    # Refused by both.
    **dict.fromkeys(("add_key", "io_uring_enter", "io_uring_register", "io_uring_setup", "personality",
                     "personality(READ_IMPLIES_EXEC)", "quotactl_fd", "request_key", "set_mempolicy_home_node"), REFUSED),
    # Allowed by Docker; podman's profile of Debian 12 is older than they are.
    **dict.fromkeys(("cachestat", "fchmodat2", "futex_requeue", "futex_wait", "futex_waitv", "futex_wake", "getxattrat",
                     "listmount", "listxattrat", "mseal", "removexattrat", "setxattrat", "statmount"), (..., "ENOSYS")),
    # Allowed by Docker, not by podman.
    **dict.fromkeys(("io_pgetevents", "vmsplice"), (..., "EPERM")),
    # Allowed by podman, not by Docker.
    "keyctl": ("EPERM", ...),
    "pivot_root": ("EPERM", ...),
    # Docker wants CAP_SYS_NICE for them.
    **dict.fromkeys(("get_mempolicy", "mbind", "set_mempolicy"), ("EPERM", ...)),
    # Docker keeps VSOCK, the kernel's cryptography and what nobody uses from containers.
    **dict.fromkeys(("socket", *(f"socket({family})" for family in (12, 19, 20, 23, 25, 34, 37, 38, 40, 46))), ("EPERM", ...)),
}
# Docker wants the capability for them; podman leaves them to the kernel.
WITHOUT_SYS_ADMIN = {
    "clone3": ("ENOSYS", ...),  # its flags cannot be seen, so that C libraries use clone
    **dict.fromkeys(("clone", "clone(CLONE_NEWUSER)", "fsconfig", "mount", "mount_setattr", "open_tree", "setns", "umount2",
                     "unshare"), ("EPERM", ...)),
}
WITHOUT_SYS_PTRACE = {"pidfd_getfd": ("EPERM", ...)}
# Newer than podman's profile.
WITH_SYS_ADMIN = dict.fromkeys(("lsm_get_self_attr", "lsm_list_modules", "lsm_set_self_attr", "quotactl_fd"), (..., "ENOSYS"))


def mounts(text):
    """Mount point -> (kind, options, options of its file system if that is the container's own)."""
    found = {}
    for line in text.splitlines():
        if " - " not in line:
            continue
        before, after = (part.split() for part in line.split(" - "))
        root, point, options, kind = before[3], before[4], before[5], after[0]
        if point == "/":
            kind = "root"  # overlay, or a copy
        elif root == "/null":
            kind = "/dev/null"
        elif root != "/" and kind not in ("proc", "sysfs", "cgroup", "cgroup2"):
            kind = "bind"  # from wherever the test's folders are
        found[point] = (kind, options, after[2] if kind in ("tmpfs", "devpts") else "")
    return found


def devices(text):
    """Name -> mode, owner, number and target of the lines of ls -ln."""
    found = {}
    for line in text.splitlines():
        words = line.split()
        if " - " in line or words[0] == "total":
            continue
        link, _, target = line.partition(" -> ")
        found[link.split()[-1]] = (words[0], *words[2:4], *(words[4:6] if words[0][0] in "cb" else ()), target)
    return found


def pairs(text, separator="="):
    return dict(line.split(separator, 1) for line in text.replace("\r", "").splitlines())


def outcomes(text):
    """Of the lines of the probe: system call -> what came of it."""
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_syscall_resolve_num_arch.restype = ctypes.c_char_p
    found = {}
    for line in text.splitlines():
        call, _, outcome = line.partition(" ")
        if call.isdigit():
            name = library.seccomp_syscall_resolve_num_arch(library.seccomp_arch_native(), int(call))
            call = name.decode() if name else call
        found[call] = errno.errorcode[int(outcome)] if outcome.isdigit() else outcome
    return found


@unittest.skipUnless(shutil.which("podman") and os.geteuid() == 0, "needs podman as root")
class LikePodman(LabTestCase):
    cluster = CLUSTER

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="podlab-podman-", ignore_cleanup_errors=True)
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        # Before the lab, which has what is mounted when it starts.
        cls.restricted = cls.folder / "restricted"
        cls.restricted.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "nosuid,nodev,noexec", "podlab-test", cls.restricted], check=True,
                       timeout=10)
        cls.addClassCleanup(subprocess.run, ["umount", "-l", cls.restricted], check=True, timeout=10)
        super().setUpClass()
        (cls.folder / "containers.conf").write_text(f"[containers]\ndefault_capabilities = {json.dumps(CAPABILITIES)}\n")
        for command in (
                [cls.program, "image", "build-rootfs", "busybox", "--package", "busybox-static", "--env", "KEPT=image",
                 "--env", "REPLACED=image", "--env", "EMPTY="],
                ["skopeo", "copy", "-q", f"oci:{cls.state}/.images:{IMAGE}", f"docker-archive:{cls.folder}/image:{IMAGE}"]):
            subprocess.run(command, env=cls.environment, capture_output=True, check=True, timeout=60)
        done = cls.run_podman("load", "-q", "-i", f"{cls.folder}/image")
        if done.returncode == 0:
            done = cls.run_podman("run", *cls.options(), IMAGE, "true")
        if done.returncode != 0:
            cls.tearDownClass()
            raise unittest.SkipTest("podman does not run here: " + done.stderr.strip()[-300:])

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        # podman leaves them.
        for own in pathlib.Path("/sys/fs/cgroup").glob(f"**/{cls.folder.name}"):
            for path in [*reversed([path for path in own.rglob("*") if path.is_dir()]), own]:
                path.rmdir()

    @classmethod
    def run_podman(cls, *arguments):
        """In a mount namespace of its own, in which a hybrid host is one of version 1."""
        script = (f"umount -l /sys/fs/cgroup/unified 2>/dev/null; exec podman --root {cls.folder}/storage "
                  f"--runroot {cls.folder}/run --runtime crun --cgroup-manager cgroupfs \"$@\"")
        return subprocess.run(["unshare", "-m", "--propagation", "private", "/bin/sh", "-c", script, "sh", *arguments],
                              capture_output=True, text=True, check=False, timeout=60, stdin=subprocess.DEVNULL,
                              env=dict(os.environ, CONTAINERS_CONF=f"{cls.folder}/containers.conf"))

    @classmethod
    def options(cls, *more):
        network = () if "--network=host" in more else ("--network=none",)
        return ("--rm", "--sig-proxy=false", f"--cgroup-parent=/{cls.folder.name}", "--ulimit=nofile=1024:1024",
                "--ulimit=nproc=1024:1024", *network, *more)

    def podman(self, command, options=()):
        """What a container of podman's prints."""
        done = self.run_podman("run", *self.options(*options), IMAGE, *command)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def apply_pod(self, name, command, container=None, spec=None):
        contents = {"name": "c", "image": "busybox", "command": command, **(container or {})}
        manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
                    "spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [contents],
                             "automountServiceAccountToken": False, **(spec or {})}}
        self.podlab("apply", "-f", "-", input=json.dumps(manifest))
        self.addCleanup(self.run_podlab, "delete", "pod", name)

    def pod(self, name):
        return json.loads(self.podlab("get", "pod", name, "-o", "json"))

    def ours(self, name, command, container=None, spec=None):
        """What a container of podlab's prints."""
        self.apply_pod(name, command, container, spec)
        ended = eventually(lambda: self.pod(name)["status"].get("phase") in ("Succeeded", "Failed"), seconds=60)
        self.assertTrue(ended, self.podlab("describe", "pod", name))
        return self.podlab("logs", name)

    def assert_alike(self, ours, theirs, known=None):
        different = {}
        for key in sorted({*ours, *theirs}):
            mine, other = ours.get(key), theirs.get(key)
            known_mine, known_other = (known or {}).get(key, (mine, mine))
            if mine != other and not (known_mine in (..., mine) and known_other in (..., other)):
                different[key] = f"\n{key}: podlab {mine}, podman {other}"
        self.assertEqual([], list(different), "".join(different.values()))

    def test_processes(self):
        script = ["/bin/sh", "-c", "ulimit -n 1024; ulimit -n; "
                  "grep -E '^(Uid|Gid|CapPrm|CapEff|CapBnd|CapInh|CapAmb|NoNewPrivs|Seccomp):' /proc/self/status"]
        for name, context, options in (
                ("plain", {}, []),
                ("dropped", {"capabilities": {"drop": ["ALL"]}}, ["--cap-drop=ALL"]),
                ("one", {"capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]}}, ["--cap-drop=ALL", "--cap-add=NET_ADMIN"]),
                ("added", {"capabilities": {"add": ["NET_ADMIN", "SYS_PTRACE"]}}, ["--cap-add=NET_ADMIN,SYS_PTRACE"]),
                ("user", {"runAsUser": 4711, "runAsGroup": 3000}, ["--user=4711:3000"]),
                ("escalation", {"allowPrivilegeEscalation": False}, ["--security-opt=no-new-privileges"]),
                ("unconfined", {"seccompProfile": {"type": "Unconfined"}}, ["--security-opt=seccomp=unconfined"]),
                ("privileged", {"privileged": True}, ["--privileged"])):
            with self.subTest(name):
                ours = self.ours(name, script, {"securityContext": context})
                self.assertEqual(ours.splitlines(), self.podman(script, options).splitlines())

    def compare_mounts(self, name, known, context=None, options=(), container=None, spec=None):
        script = ["/bin/sh", "-c", "cat /proc/self/mountinfo; ls -ln /dev"]
        ours = self.ours(name, script, {"securityContext": context or {}, **(container or {})}, spec)
        theirs = self.podman(script, options)
        with self.subTest(name, of="mounts"):
            self.assert_alike(mounts(ours), mounts(theirs), known)
        with self.subTest(name, of="devices"):
            self.assert_alike(devices(ours), devices(theirs), {"termination-log": (..., None)})

    def test_mounts(self):
        self.compare_mounts("default", {**MOUNTS, **MASKED})
        self.compare_mounts("privileged", MOUNTS, {"privileged": True}, ["--privileged"])
        self.compare_mounts("unmasked", MOUNTS, {"procMount": "Unmasked"}, ["--security-opt=unmask=ALL"])
        self.compare_mounts("host-network", {**MOUNTS, **MASKED}, {}, ["--network=host"], spec={"hostNetwork": True})
        self.compare_mounts("read-only", {**MOUNTS, **MASKED, **READ_ONLY_ROOT}, {"readOnlyRootFilesystem": True},
                            ["--read-only", "--read-only-tmpfs=false"])

    def test_volumes(self):
        host = self.folder / "host"
        (host / "writable").mkdir(parents=True)
        (host / "file").touch()
        volumes = {"scratch": {"emptyDir": {}}, "host": {"hostPath": {"path": f"{host}/writable"}},
                   "file": {"hostPath": {"path": f"{host}/file"}}}
        places = [("scratch", "/scratch", "writable", False), ("host", "/host", "writable", False),
                  ("host", "/ro", "writable", True), ("file", "/file", "file", False), ("file", "/ro-file", "file", True)]
        self.compare_mounts(
            "volumes", {**MOUNTS, **MASKED},
            options=[f"-v={host}/{source}:{path}:{'ro' if read_only else 'rw'}" for _, path, source, read_only in places],
            container={"volumeMounts": [{"name": name, "mountPath": path, "readOnly": read_only}
                                        for name, path, _, read_only in places]},
            spec={"volumes": [{"name": name, **source} for name, source in volumes.items()]})

    def test_what_the_source_of_a_volume_forbids(self):
        script = ["/bin/sh", "-c", "grep ' /mnt ' /proc/self/mountinfo"]
        for access, read_only in (("rw", False), ("ro", True)):
            with self.subTest(access):
                ours = self.ours(f"source-{access}", script,
                                 {"volumeMounts": [{"name": "v", "mountPath": "/mnt", "readOnly": read_only}]},
                                 {"volumes": [{"name": "v", "hostPath": {"path": str(self.restricted)}}]})
                self.assertEqual(mounts(ours), {"/mnt": ("tmpfs", f"{access},nosuid,nodev,noexec,relatime", "rw")})
                self.assert_alike(mounts(ours), mounts(self.podman(script, [f"-v={self.restricted}:/mnt:{access}"])))

    def test_environment(self):
        script = ["/bin/sh", "-c", "tr '\\0' '\\n' < /proc/1/environ; echo cwd=$(pwd); echo uid=$(id -u):$(id -g); "
                  "echo umask=$(umask); echo hostname=$(hostname); echo oom=$(cat /proc/1/oom_score_adj); echo arguments=$0,$1",
                  "first", "second third"]
        for name, container, options, known in (
                ("plain-env", {}, [], VARIABLES),
                ("replaced", {"env": [{"name": "REPLACED", "value": "pod"}, {"name": "NEW", "value": "a=b c"}]},
                 ["--env=REPLACED=pod", "--env=NEW=a=b c"], VARIABLES),
                ("path", {"env": [{"name": "PATH", "value": "/bin"}, {"name": "HOME", "value": "/tmp"}]},
                 ["--env=PATH=/bin", "--env=HOME=/tmp"], VARIABLES),
                ("workdir", {"workingDir": "/usr"}, ["--workdir=/usr"], VARIABLES),
                ("stranger", {"securityContext": {"runAsUser": 4711}}, ["--user=4711"], VARIABLES),
                ("terminal", {"tty": True}, ["--tty"], {name: value for name, value in VARIABLES.items() if name != "TERM"})):
            with self.subTest(name):
                ours = self.ours(name, script, container)
                theirs = self.podman(script, [f"--hostname={name}", "--oom-score-adj=1000", *options])
                self.assert_alike(pairs(ours), pairs(theirs), known)

    def test_cgroups(self):
        files = ("cpu/cpu.shares cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us memory/memory.limit_in_bytes "
                 "memory/memory.memsw.limit_in_bytes pids/pids.max devices/devices.list "
                 "cpu.weight cpu.max memory.max memory.swap.max pids.max")
        script = ["/bin/sh", "-c", f"cd /sys/fs/cgroup; for f in {files}; do [ -e $f ] && "
                  f"echo $f=$(sort $f | tr '\\n' ' '); done; true"]
        # kubelet's: 1024 shares a CPU and at least 2, a quota of at least 1 ms in 100, and no swap.
        for name, resources, options in (
                ("none", {}, ["--cpu-shares=2"]),
                ("request", {"requests": {"cpu": "100m"}}, ["--cpu-shares=102"]),
                ("both", {"requests": {"cpu": "250m"}, "limits": {"cpu": "500m"}}, ["--cpu-shares=256", "--cpus=0.5"]),
                ("limit", {"limits": {"cpu": "1500m"}}, ["--cpu-shares=1536", "--cpus=1.5"]),
                ("little", {"limits": {"cpu": "5m"}}, ["--cpu-shares=5", "--cpu-quota=1000"]),
                ("memory", {"requests": {"memory": "32Mi"}, "limits": {"memory": "64Mi"}},
                 ["--cpu-shares=2", "--memory=64m", "--memory-swap=64m"])):
            with self.subTest(name):
                ours = pairs(self.ours(name, script, {"resources": resources}))
                if not ours:
                    self.skipTest("podlab has no cgroups here")
                self.assert_alike(ours, pairs(self.podman(script, ["--pids-limit=-1", *options])))

    def test_pids(self):
        """Kubernetes limits the processes of a pod, not of a container."""
        script = "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null; true"
        theirs = self.podman(["/bin/sh", "-c", script], ["--pids-limit=50"])
        self.apply_pod("pids", ["/bin/sleep", "1000"])
        self.wait_ready("pids")
        uid = self.pod("pids")["metadata"]["uid"]
        folders = [pathlib.Path(line) for line in next(self.state.glob("*/cgroups")).read_text().splitlines()]
        files = [file for folder in folders for file in folder.glob(f"node1/{uid}/pids.max")]
        if not files:
            self.skipTest("podlab has no cgroup of processes here")
        self.assertEqual([file.read_text() for file in files], [theirs])

    def test_system_calls(self):
        if not PROBE.exists():
            self.skipTest(f"{PROBE} is not built; remedy: ninja podlab_syscall_probe")
        last = 480  # those of Linux 6.18, and some more
        command = ["/probe", "0", str(last)]
        for name, context, options, known in (
                ("default-calls", {}, [], {**SYSTEM_CALLS, **WITHOUT_SYS_ADMIN, **WITHOUT_SYS_PTRACE}),
                ("net-admin", {"capabilities": {"add": ["NET_ADMIN"]}}, ["--cap-add=NET_ADMIN"],
                 {**SYSTEM_CALLS, **WITHOUT_SYS_ADMIN, **WITHOUT_SYS_PTRACE}),
                ("sys-ptrace", {"capabilities": {"add": ["SYS_PTRACE"]}}, ["--cap-add=SYS_PTRACE"],
                 {**SYSTEM_CALLS, **WITHOUT_SYS_ADMIN}),
                ("sys-admin", {"capabilities": {"add": ["SYS_ADMIN"]}}, ["--cap-add=SYS_ADMIN"],
                 {**SYSTEM_CALLS, **WITH_SYS_ADMIN, **WITHOUT_SYS_PTRACE}),
                ("no-filter", {"seccompProfile": {"type": "Unconfined"}}, ["--security-opt=seccomp=unconfined"], {})):
            with self.subTest(name):
                ours = outcomes(self.ours(
                    name, command, {"securityContext": context, "volumeMounts": [{"name": "v", "mountPath": "/probe"}]},
                    {"volumes": [{"name": "v", "hostPath": {"path": str(PROBE)}}]}))
                theirs = outcomes(self.podman(command, [f"-v={PROBE}:/probe", *options]))
                self.assertGreater(len(ours), last, ours)
                # Numbers between the calls of all architectures and the first: nobody has them.
                holes = {call: REFUSED for call in ours if call.isdigit() and int(call) < 424}
                self.assert_alike(ours, theirs, {**known, **holes} if known else {})


if __name__ == "__main__":
    unittest.main()
