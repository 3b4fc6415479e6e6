"""What a container may do, as its security context says."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import unittest

from harness import LabTestCase, eventually

STATUS = "grep -E '^(Uid|Gid|CapPrm|CapEff|CapBnd|CapInh|CapAmb|NoNewPrivs|Seccomp|Groups):' /proc/self/status"


def pod(name, container=None, spec=None):
    """A manifest of a pod that sleeps, as JSON."""
    contents = {"name": "c", "image": "host", "command": ["/bin/sleep", "100000"], **(container or {})}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
                       "spec": {"terminationGracePeriodSeconds": 0, "containers": [contents], **(spec or {})}})


class Contexts(LabTestCase):
    up_arguments = ("-n", "1")

    def start(self, name, container=None, spec=None):
        self.podlab("apply", "-f", "-", input=pod(name, container, spec))
        self.wait_ready(name)
        self.addCleanup(self.run_podlab, "delete", "pod", name)

    def status(self, name):
        return json.loads(self.podlab("get", "pod", name, "-o", "json"))["status"]

    def inside(self, name, script):
        return self.podlab("exec", name, "--", "/bin/sh", "-c", script)

    def refusal(self, name, container=None, spec=None):
        self.podlab("apply", "-f", "-", input=pod(name, container, spec))
        self.addCleanup(self.run_podlab, "delete", "pod", name)

        def waiting():
            found = json.loads(self.podlab("get", "pod", name, "-o", "json"))["status"]
            states = [one["state"].get("waiting", {}) for one in found.get("containerStatuses", [])]
            return [state for state in states if state.get("message")]

        state = eventually(waiting)[0]
        return state["reason"], state["message"]

    def test_user_groups_and_volumes(self):
        self.start("user", {"volumeMounts": [{"name": "v", "mountPath": "/mnt"}],
                            "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                                                "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}}},
                   {"volumes": [{"name": "v", "emptyDir": {}}],
                    "securityContext": {"runAsUser": 4711, "runAsGroup": 3000, "fsGroup": 2000}})
        text = self.inside("user", STATUS + "; touch /mnt/x; stat -c %u:%g /mnt/x; touch /tmp/y 2>/dev/null || echo ro")
        for line in ("Uid:\t4711\t4711\t4711\t4711", "Gid:\t3000\t3000\t3000\t3000", "Groups:\t2000 3000 ",
                     "CapEff:\t0000000000000000", "CapBnd:\t0000000000000400", "NoNewPrivs:\t1", "Seccomp:\t2",
                     "4711:2000", "ro"):
            self.assertIn(line, text.splitlines())

    def test_privileged(self):
        self.start("privileged", {"securityContext": {"privileged": True}})
        text = self.inside("privileged", STATUS + "; test -w /proc/sys/kernel/hostname && echo writable; ls /dev")
        self.assertIn("Seccomp:\t0", text)
        self.assertIn("writable", text)
        self.assertIn("kmsg", text.splitlines())

    def test_safe_sysctls(self):
        self.start("sysctl", spec={"securityContext": {"sysctls": [
            {"name": "net.ipv4.ip_unprivileged_port_start", "value": "80"}]}})
        self.assertEqual(self.inside("sysctl", "cat /proc/sys/net/ipv4/ip_unprivileged_port_start"), "80\n")
        self.podlab("apply", "-f", "-", input=pod("unsafe", spec={"securityContext": {"sysctls": [
            {"name": "kernel.msgmax", "value": "1"}]}}))
        self.addCleanup(self.run_podlab, "delete", "pod", "unsafe")
        why = 'forbidden sysctl: "kernel.msgmax" not allowlisted'
        status = eventually(lambda: (found := self.status("unsafe")).get("phase") == "Failed" and found)
        self.assertEqual((status["reason"], status["message"]), ("SysctlForbidden", "Pod was rejected: " + why))
        self.assertRegex(self.podlab("get", "pod", "unsafe"), r"unsafe +0/1 +SysctlForbidden")
        self.assertTrue(eventually(lambda: why in [event["message"] for event in self.objects("events")
                                                   if event["reason"] == "SysctlForbidden"]))

    def test_the_nodes_processes_and_ipc(self):
        shared = {"hostPID": True, "hostIPC": True}
        self.start("one", {"command": ["/bin/sh", "-c", "sleep 54321 & exec sleep 100000"]}, shared)
        self.start("two", spec=shared)
        self.start("own")
        spaces = "readlink /proc/self/ns/pid /proc/self/ns/ipc"
        self.assertEqual(self.inside("one", spaces), self.inside("two", spaces))
        self.assertFalse(set(self.inside("one", spaces).split()) & set(self.inside("own", spaces).split()))
        self.assertIn("node-init", self.inside("two", "tr '\\0' ' ' < /proc/1/cmdline"))
        self.inside("one", "echo shared > /dev/shm/x")
        self.assertEqual(self.inside("two", "cat /dev/shm/x; rm /dev/shm/x"), "shared\n")
        self.assertFalse(pathlib.Path("/dev/shm/x").exists())
        # What the container has left behind ends with it.
        left = "grep -la 'sleep.5432[1]' /proc/[0-9]*/cmdline || true"
        self.assertNotEqual(self.inside("two", left), "")
        self.podlab("delete", "pod", "one")
        self.assertTrue(eventually(lambda: self.inside("two", left) == ""))

    def test_fs_group_owns_a_claims_folder(self):
        self.podlab("apply", "-f", "-", input=json.dumps({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "disk"},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}}))
        self.addCleanup(self.run_podlab, "delete", "pvc", "disk")
        self.podlab("apply", "-f", "-", input=json.dumps({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key"}, "stringData": {"a": "1"}}))
        self.addCleanup(self.run_podlab, "delete", "secret", "key")

        def start(name, policy, group):
            self.start(name, {"volumeMounts": [{"name": "d", "mountPath": "/d"}, {"name": "s", "mountPath": "/s"}]},
                       {"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "disk"}},
                                    {"name": "s", "secret": {"secretName": "key", "defaultMode": 0o400}}],
                        "securityContext": {"runAsUser": 1000, "fsGroup": group, "fsGroupChangePolicy": policy}})

        show = "stat -Lc '%g %a' /d /d/x /s/a"
        start("first", "Always", 2000)
        # Of the folder, of what is made in it, and of what may only be read.
        self.assertEqual(self.inside("first", "umask 077; touch /d/x; " + show), "2000 2777\n2000 600\n2000 440\n")
        self.podlab("delete", "pod", "first")
        start("second", "OnRootMismatch", 2000)
        self.assertEqual(self.inside("second", show), "2000 2777\n2000 600\n2000 440\n")
        self.podlab("delete", "pod", "second")
        start("third", "Always", 2000)
        self.assertEqual(self.inside("third", show), "2000 2777\n2000 660\n2000 440\n")
        # Another agent does not undo what the container does since.
        self.inside("third", "chmod 600 /d/x")
        (agent,) = self.processes("agent", "--node-name", "node1")
        os.kill(agent, signal.SIGKILL)
        self.assertTrue(eventually(lambda: self.processes("agent", "--node-name", "node1") not in ([], [agent])))
        self.assertTrue(eventually(lambda: self.run_podlab("exec", "third", "--", "/bin/true").returncode == 0, 40))
        self.assertEqual(self.inside("third", "stat -c '%g %a' /d/x"), "2000 600\n")
        self.podlab("delete", "pod", "third")
        start("fourth", "OnRootMismatch", 3000)
        self.assertEqual(self.inside("fourth", "stat -c '%g %a' /d /d/x"), "3000 2777\n3000 660\n")

    def test_root_is_refused(self):
        reason, message = self.refusal("root", {"securityContext": {"runAsNonRoot": True}})
        self.assertEqual(reason, "CreateContainerConfigError")
        self.assertIn("container has runAsNonRoot and image will run as root", message)

    def test_a_local_profile(self):
        (folder,) = self.state.glob("*/nodes/node1")
        (folder / "seccomp").mkdir(exist_ok=True)
        profile = {"defaultAction": "SCMP_ACT_ALLOW",
                   "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5}]}
        (folder / "seccomp/no-mkdir.json").write_text(json.dumps(profile))
        self.start("local", {"securityContext": {"seccompProfile": {"type": "Localhost",
                                                                    "localhostProfile": "no-mkdir.json"}}})
        self.assertIn("Input/output error", self.inside("local", "mkdir /tmp/x 2>&1; true"))
        _, message = self.refusal("absent", {"securityContext": {"seccompProfile": {
            "type": "Localhost", "localhostProfile": "absent.json"}}})
        self.assertIn("cannot load seccomp profile", message)

    def test_invalid_contexts(self):
        for context, fault in (
                ({"runAsUser": -1}, "must be between 0 and 2147483647, inclusive"),
                ({"seccompProfile": {"type": "Localhost"}}, "must be set when seccomp type is Localhost"),
                ({"allowPrivilegeEscalation": False, "privileged": True},
                 "cannot set `allowPrivilegeEscalation` to false and `privileged` to true")):
            done = self.run_podlab("apply", "-f", "-", input=pod("bad", {"securityContext": context}))
            self.assertEqual(done.returncode, 1, done.stdout)
            self.assertIn(fault, done.stderr)


class Subordinate(LabTestCase):
    """An ordinary user with ids in /etc/subuid: containers have other users than root."""
    up_arguments = ("-n", "1")

    user = 54322
    ranges = passwd = None

    @classmethod
    def setUpClass(cls):
        if os.geteuid() != 0 or not shutil.which("newuidmap") or not os.path.exists("/etc/subuid"):
            raise unittest.SkipTest("needs root, to become a user with subordinate ids, and newuidmap with /etc/subuid")
        with tempfile.NamedTemporaryFile("w", delete=False) as file:
            file.write("podlab-test:700000:65536\n")
        os.chmod(file.name, 0o644)
        cls.ranges = file.name
        cls.addClassCleanup(os.unlink, file.name)
        with tempfile.NamedTemporaryFile("w", delete=False) as file:
            file.write(pathlib.Path("/etc/passwd").read_text() + f"podlab-test:x:{cls.user}:{cls.user}::/:/bin/sh\n")
        os.chmod(file.name, 0o644)
        cls.passwd = file.name
        cls.addClassCleanup(os.unlink, file.name)
        super().setUpClass()

    @classmethod
    def run_podlab(cls, *arguments, **options):
        """As the user, with ranges of the test's own: those of this machine stay as they are."""
        script = (f"mount --bind {cls.ranges} /etc/subuid && mount --bind {cls.ranges} /etc/subgid && "
                  f"mount --bind {cls.passwd} /etc/passwd && cd / && "
                  f"exec setpriv --reuid {cls.user} --regid {cls.user} --clear-groups \"$@\"")
        if "input" not in options:
            options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run(["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", script, "sh",
                               cls.program, *arguments],
                              env=cls.environment, capture_output=True, text=True, check=False, timeout=90, **options)

    def test_other_users_and_their_files(self):
        self.podlab("apply", "-f", "-", input=pod(
            "many", {"volumeMounts": [{"name": "v", "mountPath": "/mnt"}]},
            {"volumes": [{"name": "v", "emptyDir": {}}], "securityContext": {"fsGroup": 2000}}))
        self.wait_ready("many")
        text = self.podlab("exec", "many", "--", "/bin/sh", "-c",
                           "mkdir /mnt/d; touch /mnt/d/f; chown -R 33:33 /mnt/d; stat -c %u:%g /mnt/d/f")
        self.assertEqual(text, "33:33\n")
        (file,) = self.state.glob("*/nodes/*/pods/*/volumes/v/d/f")
        self.assertEqual(file.stat().st_uid, 700032)
        # Also by the user, who may not remove what belongs to others.
        self.podlab("down", "--purge")
        self.assertEqual([entry.name for entry in self.state.iterdir() if entry.name != self.program.name], [])


class OneId(LabTestCase):
    up_arguments = ("-n", "1")
    user = 54321

    def test_other_users_are_refused_with_the_remedy(self):
        self.podlab("apply", "-f", "-", input=pod("user", {"securityContext": {"runAsUser": 1000}}))

        def message():
            found = json.loads(self.podlab("get", "pod", "user", "-o", "json"))["status"]
            return [one["state"]["waiting"].get("message") for one in found.get("containerStatuses", [])]

        text = eventually(lambda: [one for one in message() if one])[0]
        self.assertIn("user id 1000 is not mapped into this lab; remedy: subordinate ids", text)


if __name__ == "__main__":
    unittest.main()
