"""Images: how they come to the host, and pods that run from them."""
import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import tarfile
import tempfile
import threading
import time
import unittest

from harness import LabTestCase, eventually, processes_below

POD = """
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  {node}
  terminationGracePeriodSeconds: 5
  containers:
  - name: main
    image: {image}
    {more}
"""


class ImageTestCase(LabTestCase):
    def image(self, *arguments, **options):
        return self.podlab("image", *arguments, **options)

    def fails(self, *arguments):
        """Runs podlab image, expects that it fails, and returns what it says."""
        done = self.run_podlab("image", *arguments)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        return done.stderr

    def names(self):
        return [image["name"] for image in json.loads(self.image("ls", "-o", "json"))]

    def store(self):
        return self.state / ".images"

    def run_pod(self, name, image, node="", more=""):
        text = POD.format(name=name, image=image, node=f"nodeName: {node}" if node else "", more=more)
        self.podlab("apply", "-f", "-", input=text)

    def status(self, pod):
        return json.loads(self.podlab("get", "pod", pod, "-o", "json"))["status"]

    def waiting(self, pod):
        (container,) = self.status(pod).get("containerStatuses", [{}])
        return container.get("state", {}).get("waiting", {})

    def events(self, pod):
        return [(event["reason"], event["message"]) for event in self.objects("events")
                if event["involvedObject"]["name"] == pod]

    def exec(self, pod, script):
        return self.podlab("exec", pod, "--", "/bin/sh", "-c", script).strip()

    def delete(self, *pods):
        self.podlab("delete", "pod", *pods, "--grace-period", "1")


PROPAGATION = """
apiVersion: v1
kind: Pod
metadata: {name: mounts}
spec:
  terminationGracePeriodSeconds: 0
  volumes: [{name: v, emptyDir: {}}]
  containers:
  - name: gives
    image: busybox
    command: [sleep, infinity]
    securityContext: {privileged: true}
    volumeMounts: [{name: v, mountPath: /v, mountPropagation: Bidirectional}]
  - name: takes
    image: busybox
    command: [sleep, infinity]
    volumeMounts: [{name: v, mountPath: /v, mountPropagation: HostToContainer}]
"""


class Images(ImageTestCase):
    up_arguments = ("-n", "3")
    user = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for arguments in (("busybox", "--package", "busybox-static", "--env", "KEPT=image", "--workdir", "/tmp"),
                          ("python", "--package", "python3-minimal", "--stop-signal", "SIGINT", "--expose", "8000")):
            done = cls.run_podlab("image", "build-rootfs", *arguments)
            assert done.returncode == 0, done.stderr

    def test_01_pods_of_three_nodes_share_the_layers(self):
        for number in (1, 2, 3):
            self.run_pod(f"box{number}", "busybox", f"node{number}", "command: [sleep, '1000']")
            self.run_pod(f"snake{number}", "python:latest", f"node{number}",
                         "command: [python3, -c, \"import socket\\nserver = socket.create_server(('', 8000))\\n"
                         "while True: server.accept()[0].send(b'snake')\"]\n"
                         "    readinessProbe: {tcpSocket: {port: 8000}, periodSeconds: 1}")
        pods = [f"{kind}{number}" for kind in ("box", "snake") for number in (1, 2, 3)]
        self.wait_ready(*pods)
        self.assertEqual(len(list((self.store() / "layers").iterdir())), 2)
        for pod in pods:
            (status,) = self.status(pod)["containerStatuses"]
            name = "busybox" if pod.startswith("box") else "python"
            self.assertEqual(status["image"], f"docker.io/library/{name}:latest")
            self.assertRegex(status["imageID"], f"^docker.io/library/{name}@sha256:[0-9a-f]{{64}}$")
        # Each has a root file system of its own above them.
        self.exec("box1", "echo mine > /file; rm /bin/ls; mkdir /tmp/d")
        self.assertEqual(self.exec("box1", "cat /file; test -e /bin/ls || echo gone"), "mine\ngone")
        self.assertEqual(self.exec("box2", "test -e /file || echo none; ls -d /bin/ls"), "none\n/bin/ls")
        self.assertEqual(self.exec("box1", "readlink /proc/1/cwd; echo $KEPT"), "/tmp\nimage")
        # No overlay is mounted in a node's own namespaces.
        for node in ("node1", "node2", "node3"):
            self.assertNotIn("userxattr", self.in_node(node, "cat", "/proc/1/mountinfo"))
        address = self.status("snake3")["podIP"]
        self.assertEqual(self.exec("box1", f"nc {address} 8000 < /dev/null"), "snake")

    def test_02_restarts_of_container_and_agent(self):
        self.run_pod("again", "busybox", "node1",
                     "command: [sh, -c, 'trap \"exit 3\" TERM; echo run; touch /seen; sleep 1000 & wait']")
        self.wait_ready("again")
        (agent,) = self.processes("agent", "--node-name", "node1")
        os.kill(agent, signal.SIGKILL)
        self.assertTrue(eventually(lambda: self.processes("agent", "--node-name", "node1") not in ([], [agent])))
        # The pod is Ready all the while, before the new agent has come to the server, too.
        self.assertTrue(eventually(lambda: self.run_podlab("exec", "again", "--", "true").returncode == 0))
        self.assertEqual(self.exec("again", "echo $(ls /seen)"), "/seen")
        self.assertEqual(self.status("again")["containerStatuses"][0]["restartCount"], 0)
        uid = json.loads(self.podlab("get", "pod", "again", "-o", "json"))["metadata"]["uid"]
        (folder,) = self.state.glob("*/nodes/node1/rootfs")
        mine = lambda: [entry.name for entry in folder.iterdir() if entry.name.startswith(uid)]
        self.assertEqual(mine(), [f"{uid}_main_0"])
        self.run_podlab("exec", "again", "--", "/bin/sh", "-c", "kill 1")  # which may end with it
        self.assertTrue(eventually(lambda: self.status("again")["containerStatuses"][0]["restartCount"] == 1))
        self.wait_ready("again")
        self.delete("again")
        self.assertTrue(eventually(lambda: mine() == []), mine())

    def test_03_the_stop_signal_is_the_images(self):
        self.run_pod("stops", "python", "node2",
                     "command: [python3, -uc, \"import signal, sys\\n"
                     "signal.signal(signal.SIGINT, lambda *_: (print('interrupted'), sys.exit(0)))\\n"
                     "print('up')\\nwhile True: signal.pause()\"]")
        self.wait_ready("stops")
        self.assertTrue(eventually(lambda: self.podlab("logs", "stops") == "up\n"))
        (agent,) = self.processes("agent", "--node-name", "node2")
        os.kill(agent, signal.SIGKILL)
        self.assertTrue(eventually(lambda: self.processes("agent", "--node-name", "node2") not in ([], [agent])))
        self.assertTrue(eventually(lambda: self.run_podlab("logs", "stops").returncode == 0))
        with subprocess.Popen([self.program, "logs", "-f", "stops"], env=self.environment, stdout=subprocess.PIPE,
                              text=True, **self.identity) as logs:
            self.assertEqual(logs.stdout.readline(), "up\n")
            self.podlab("delete", "pod", "stops")
            self.assertEqual(logs.stdout.read(), "interrupted\n")

    def test_03_mounts_propagate_from_a_container_of_layers(self):
        self.podlab("apply", "-f", "-", input=PROPAGATION)
        self.wait_ready("mounts")
        for container, script in (("gives", "mkdir /v/in && mount -t tmpfs none /v/in && echo seen > /v/in/x"),
                                  ("takes", "test $(cat /v/in/x) = seen")):
            self.podlab("exec", "mounts", "-c", container, "--", "/bin/sh", "-c", script)
        for node in ("node1", "node2", "node3"):
            self.assertNotIn("userxattr", self.in_node(node, "cat", "/proc/1/mountinfo"))
        self.podlab("delete", "pod", "mounts")
        self.assertTrue(eventually(lambda: not list(self.state.glob("*/nodes/*/pods/*/volumes"))))

    def test_04_an_image_that_runs_is_not_removed(self):
        self.run_pod("user", "busybox", "node3", "command: [sleep, '1000']")
        self.wait_ready("user")
        self.assertIn("used by a running container", self.fails("rm", "busybox"))
        self.assertIn("docker.io/library/busybox:latest", self.names())
        # Another name for it is free to go.
        archive = self.archive("busybox", "second:v1")
        self.image("load", archive)
        self.assertEqual(self.image("rm", "second:v1"), "docker.io/library/second:v1\n")
        self.delete("user")
        # A name that goes to another image leaves the containers of the former one alone.
        self.image("build-rootfs", "moved", "--package", "busybox-static", "--env", "V=1")
        self.run_pod("old", "moved", "node3", "command: [sleep, '1000']")
        self.wait_ready("old")
        self.image("build-rootfs", "moved", "--package", "busybox-static", "--env", "V=2")
        self.run_pod("new", "moved", "node3", "command: [sleep, '1000']")
        self.wait_ready("new")
        self.assertEqual((self.exec("old", "echo $V"), self.exec("new", "echo $V")), ("1", "2"))
        self.assertEqual(self.names().count(""), 1)
        self.delete("old", "new")
        self.assertTrue(eventually(lambda: self.run_podlab("image", "rm", "moved").returncode == 0))
        self.image("prune")
        self.assertEqual(self.names(), ["docker.io/library/busybox:latest", "docker.io/library/python:latest"])

    def test_05_missing_images_back_off_until_they_are_loaded(self):
        archive = self.archive("busybox", "late:v1")
        self.run_pod("late", "late:v1", "", "command: [sleep, '1000']")
        self.assertTrue(eventually(lambda: self.waiting("late").get("reason") == "ImagePullBackOff"))
        self.assertIn("podlab image pull late:v1", self.waiting("late")["message"])
        reasons = [reason for reason, _ in self.events("late")]
        self.assertIn("BackOff", reasons)
        self.assertIn(("Failed", "Error: ErrImagePull"), self.events("late"))
        self.image("load", archive)
        self.wait_ready("late")
        self.run_pod("bad", "Bad:Name", "", "command: [sleep, '1000']")
        self.assertTrue(eventually(lambda: self.waiting("bad").get("reason") == "InvalidImageName"))
        self.run_pod("never", "nothing", "", "imagePullPolicy: Never")
        self.assertTrue(eventually(lambda: self.waiting("never").get("reason") == "ErrImageNeverPull"))
        self.delete("late", "bad", "never")

    def test_06_what_cannot_be_loaded_leaves_nothing(self):
        before = self.names()
        archive = self.archive("busybox", "broken:v1")
        content = pathlib.Path(archive).read_bytes()
        folder = pathlib.Path(self.folder())
        (folder / "cut.tar").write_bytes(content[:len(content) // 2])
        self.assertIn("Truncated", self.fails("load", str(folder / "cut.tar")))
        (folder / "text").write_text("no archive\n" * 100)
        self.assertIn("cannot read", self.fails("load", str(folder / "text")))
        self.assertIn("no OCI layout", self.fails("load", str(folder)))
        self.assertIn("No such file", self.fails("load", str(folder / "nothing.tar")))
        self.assertIn("must be lowercase", self.fails("load", archive, "--tag", "Upper"))
        self.assertIn("\"host\"", self.fails("load", archive, "--tag", "host"))
        # Other content than the image says.
        self.image("build-rootfs", "honest", "--package", "busybox-static", "--env", "V=3", "--file", __file__)
        lying = bytearray(pathlib.Path(self.archive("honest", "lie:v1")).read_bytes())
        self.image("rm", "honest")
        at = lying.find(b"How they come to the host".lower())  # in this file
        lying[at:at + 3] = b"HOW"
        (folder / "lie.tar").write_bytes(lying)
        self.assertIn("Digest did not match", self.fails("load", str(folder / "lie.tar")))
        self.assertEqual(self.names(), before)
        self.image("prune")
        self.assertEqual(len(list((self.store() / "layers").iterdir())), 2)
        self.assertFalse((self.store() / "work").exists())

    def test_07_many_loads_at_once(self):
        archives = [self.archive("busybox", f"twin{number}:v1") for number in range(4)]
        done = [None] * 8
        def load(index):
            done[index] = self.run_podlab("image", "load", archives[index % 4])
        threads = [threading.Thread(target=load, args=(index,)) for index in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for one in done:
            self.assertEqual(one.returncode, 0, one.stderr)
        for number in range(4):
            self.assertIn(f"docker.io/library/twin{number}:v1", self.names())
        self.image("rm", *(f"twin{number}:v1" for number in range(4)))

    def test_08_an_interrupted_command_leaves_nothing(self):
        archive = self.archive("python", "cut-short:v1")
        before = self.names()
        for delay in (0.02, 0.1, 0.3, 0.6):
            for ending in (signal.SIGKILL, signal.SIGINT):
                with subprocess.Popen([self.program, "image", "load", archive], env=self.environment,
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **self.identity) as loading:
                    time.sleep(delay)  # wherever that is
                    loading.send_signal(ending)
                if "cut-short" in str(self.names()):
                    self.image("rm", "cut-short:v1")
                self.assertEqual(self.names(), before)
        self.image("prune")
        self.assertFalse((self.store() / "work").exists())
        self.image("load", archive)
        self.image("rm", "cut-short:v1")
        self.assertEqual(self.names(), before)

    def test_09_the_node_lists_its_images(self):
        (folder,) = self.state.glob("*/nodes/node1")
        self.podlab("node", "stop", "node1")
        self.podlab("node", "start", "node1")
        def listed():
            node = json.loads(self.podlab("get", "node", "node1", "-o", "json"))
            return [image["names"][-1] for image in node["status"].get("images", [])]
        self.assertTrue(eventually(lambda: "docker.io/library/busybox:latest" in listed()), listed())
        self.assertTrue(folder.exists())

    def archive(self, image, name):
        """An archive as `docker save` makes it, of an image of the store."""
        path = f"{self.folder()}/{name.replace(':', '-')}.tar"
        source = f"oci:{self.store()}:docker.io/library/{image}:latest"
        subprocess.run(["skopeo", "--insecure-policy", "copy", "-q", source, f"docker-archive:{path}:{name}"],
                       check=True, capture_output=True, timeout=60)
        os.chmod(path, 0o644)
        return path

    def folder(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        os.chmod(holder.name, 0o755)
        return holder.name


class RootlessImages(Images):
    """The same as an ordinary user."""
    user = 54321


@contextlib.contextmanager
def registry(folder):
    """Debian's docker-registry on a free port of the loopback; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = pathlib.Path(folder) / "config.yml"
    config.write_text(f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {folder}/data}}}}\n"
                      f"http: {{addr: '127.0.0.1:{port}'}}\n")
    with subprocess.Popen(["docker-registry", "serve", str(config)], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as process:
        try:
            def answers():
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    return True
            assert eventually(answers), "the registry does not answer"
            yield f"127.0.0.1:{port}"
        finally:
            process.kill()


class Pull(ImageTestCase):
    """From a real registry; without a lab."""

    @classmethod
    def setUpClass(cls):
        cls.prepare()

    def test_pull(self):
        self.image("build-rootfs", "busybox", "--package", "busybox-static")
        with tempfile.TemporaryDirectory() as folder, registry(folder) as address:
            source = f"oci:{self.store()}:docker.io/library/busybox:latest"
            digest = pathlib.Path(folder) / "digest"
            subprocess.run(["skopeo", "--insecure-policy", "copy", "-q", "--dest-tls-verify=false", "--digestfile", digest,
                            source, f"docker://{address}/team/box:v1"], check=True, capture_output=True, timeout=60)
            self.image("rm", "busybox")
            self.assertEqual(self.names(), [])
            name = f"{address}/team/box:v1"
            self.assertIn("HTTP", self.fails("pull", name))  # it speaks no TLS
            self.assertEqual(self.image("pull", "--tls-verify=false", name), name + "\n")
            by_digest = f"{address}/team/box@{digest.read_text().strip()}"
            self.assertEqual(self.image("pull", "--tls-verify=false", by_digest), by_digest + "\n")
            self.assertEqual(len(list((self.store() / "layers").iterdir())), 1)
            wrong = f"{address}/team/box@sha256:" + "0" * 64
            self.assertIn("manifest unknown", self.fails("pull", "--tls-verify=false", wrong))
            self.assertIn("manifest unknown", self.fails("pull", "--tls-verify=false", f"{address}/team/box:v2"))
            self.assertIn("must be lowercase", self.fails("pull", f"{address}/Team"))
            self.image("rm", name, by_digest)
            self.assertEqual(list((self.store() / "layers").iterdir()), [])
            # A layer that is not what its digest says.
            blobs = [path for path in pathlib.Path(folder).glob("data/**/blobs/sha256/*/*/data")]
            layer = max(blobs, key=lambda path: path.stat().st_size)
            content = bytearray(layer.read_bytes())
            content[len(content) // 2] ^= 1
            layer.write_bytes(content)
            self.fails("pull", "--tls-verify=false", name)
            self.assertEqual((self.names(), list((self.store() / "layers").iterdir())), ([], []))
        self.assertIn("connection refused", self.fails("pull", "--tls-verify=false", name))  # it is gone

    def test_a_registry_that_hangs(self):
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            name = f"127.0.0.1:{silent.getsockname()[1]}/box"
            with subprocess.Popen([self.program, "image", "pull", "--tls-verify=false", name], env=self.environment,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as pulling:
                connection, _ = silent.accept()
                pulling.send_signal(signal.SIGTERM)
                self.assertEqual(pulling.wait(20), 130)
                connection.close()
        self.assertEqual(processes_below(self.state), [])
        self.image("prune")


STAND_IN = """
apiVersion: podlab.io/v1alpha1
kind: Cluster
nodes: [{count: 2}]
images: {missing: stand-in}
networking: {ipFamily: dual}
"""


class StandIns(ImageTestCase):
    cluster = STAND_IN

    def ask(self, pod, node, request, port, kind="tcp", host=None):
        """What a port answers to someone on a node."""
        address = host or self.status(pod)["podIP"]
        script = ("import socket,sys\n"
                  f"s=socket.socket(socket.AF_INET6 if ':' in '{address}' else socket.AF_INET, "
                  f"socket.SOCK_{'DGRAM' if kind == 'udp' else 'STREAM'})\ns.settimeout(10)\n"
                  f"s.connect(('{address}',{port}))\ns.send({request!r})\n"
                  "sys.stdout.write(s.recv(4096).decode())\n")
        return self.in_node(node, "/usr/bin/python3", "-c", script)

    def test_it_answers_in_place_of_the_image(self):
        self.podlab("apply", "-f", "-", input="""
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  nodeName: node1
  terminationGracePeriodSeconds: 5
  initContainers: [{name: prepare, image: my/migration, command: [migrate]}]
  containers:
  - name: app
    image: nginx:1.25
    command: [nginx]
    ports: [{containerPort: 80}, {containerPort: 53, protocol: UDP}]
    readinessProbe: {httpGet: {path: /healthz, port: 8081}, periodSeconds: 1}
  - name: side
    image: redis
    ports: [{containerPort: 80}, {containerPort: 6379}]
    readinessProbe: {tcpSocket: {port: 6379}, periodSeconds: 1}
""")
        self.wait_ready("web")
        who = "stand-in pod=web namespace=default container=app node=node1 image=nginx:1.25"
        for address in [entry["ip"] for entry in self.status("web")["podIPs"]]:
            answer = self.ask("web", "node2", b"GET /x HTTP/1.1\r\nHost: web\r\n\r\n", 80, host=address)
            self.assertTrue(answer.startswith("HTTP/1.1 200 OK\n"), answer)
            self.assertIn(who, answer)
            self.assertEqual(self.ask("web", "node2", b"query", 53, "udp", host=address), who + "\n")
            self.assertIn("container=side", self.ask("web", "node2", b"PING\r\n", 6379, host=address))
        log = self.podlab("logs", "web", "-c", "app")
        self.assertIn("GET /x HTTP/1.1", log)
        self.assertIn("query", log)
        self.assertIn("tcp:80 is left to container app", self.podlab("logs", "web", "-c", "side"))
        # It is said everywhere.
        messages = [message for reason, message in self.events("web") if reason == "StandIn"]
        self.assertEqual(len(messages), 3)
        self.assertTrue(any("80/tcp is left to container app" in message for message in messages), messages)
        (condition,) = [one for one in self.status("web")["conditions"] if one["type"] == "podlab.io/StandIn"]
        self.assertEqual((condition["status"], condition["reason"]), ("True", "ImageMissing"))
        self.assertIn("prepare,app,side", self.podlab("get", "pods", "-o", "wide"))
        (app, _) = self.status("web")["containerStatuses"]
        self.assertEqual(app["imageID"], "stand-in")
        self.podlab("delete", "pod", "web")

    def test_images_that_are_there_are_used(self):
        self.image("build-rootfs", "busybox", "--package", "busybox-static")
        self.run_pod("real", "busybox", "node2", "command: [sleep, '1000']")
        self.wait_ready("real")
        self.assertEqual([reason for reason, _ in self.events("real") if reason == "StandIn"], [])
        self.assertIn("<none>", self.podlab("get", "pods", "real", "-o", "wide", "--no-headers"))
        self.run_pod("bad", "Bad:Name", "")
        self.assertTrue(eventually(lambda: self.waiting("bad").get("reason") == "InvalidImageName"))


if __name__ == "__main__":
    unittest.main()
