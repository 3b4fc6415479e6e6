"""kubectl's streams: exec, attach, cp, run, debug, port-forward and proxy, over WebSockets and over SPDY."""
import fcntl
import json
import os
import pathlib
import pty
import re
import signal
import socket
import struct
import subprocess
import tempfile
import termios
import threading
import unittest
import urllib.request

from harness import LabTestCase, eventually
from kubectl_case import KubectlCase

# 7000 sends back all in reverse when the client has ended its side; 7001 is HTTP, and sends back what is posted.
SERVER = r"""
import http.server, socketserver, threading
class Reverse(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(self.rfile.read()[::-1])
class Post(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    request_queue_size = 100
threading.Thread(target=Server(("", 7000), Reverse).serve_forever).start()
Server(("", 7001), Post).serve_forever()
"""


class Streams(KubectlCase):
    """The tests; each class below runs them with one version and one protocol."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "server", "labels": {"app": "server"}},
               "spec": {"terminationGracePeriodSeconds": 1,
                        "containers": [{"name": "c", "image": "host", "command": ["python3", "-c", SERVER],
                                        "readinessProbe": {"tcpSocket": {"port": 7001}, "periodSeconds": 1}},
                                       {"name": "ticker", "image": "host",
                                        "command": ["sh", "-c", "while :; do echo tick; sleep 0.2; done"]}]}}
        done = cls.run_kubectl("apply", "--validate=false", "-f", "-", input=json.dumps(pod))
        assert done.returncode == 0, done.stderr
        done = cls.run_kubectl("wait", "pod/server", "--for=condition=Ready", "--timeout=30s")
        assert done.returncode == 0, done.stderr

    def forward(self, target, *ports):
        """The running kubectl, and the local port of each."""
        program = self.start("port-forward", target, *(f":{port}" for port in ports), "--address=127.0.0.1")
        local = {}
        for port in ports:  # kubectl tells of them in order; a service's is that of the pod there
            line = program.stdout.readline()
            local[port] = int(re.fullmatch(r"Forwarding from 127\.0\.0\.1:(\d+) -> \d+\n", line).group(1))
        return program, local

    def ask(self, port, question):
        with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
            client.sendall(question)
            client.shutdown(socket.SHUT_WR)
            answer = b""
            while piece := client.recv(1 << 16):
                answer += piece
        return answer

    def test_exec(self):
        def run(*words, **options):
            return self.run_kubectl("exec", *words, **options)
        self.assertEqual(run("web", "-c", "main", "--", "echo", "hi").stdout, "hi\n")
        for code in (0, 3, 7):
            self.assertEqual(run("web", "--", "sh", "-c", f"exit {code}").returncode, code)
        both = run("web", "--", "sh", "-c", "echo out; echo err >&2")
        self.assertEqual((both.stdout, both.stderr.splitlines()[-1]), ("out\n", "err"))
        self.assertIn("executable file `nosuch` not found", self.fails("exec", "web", "--", "nosuch"))
        self.assertIn("container nope is not valid for pod web", self.fails("exec", "web", "-c", "nope", "--", "true"))
        self.assertEqual(run("-i", "web", "--", "cat", input="ab\n").stdout, "ab\n")
        blob = "0123456789abcdef" * 231_250  # 3.7 MB
        self.assertEqual(run("-i", "web", "--", "wc", "-c", input=blob).stdout.strip(), str(len(blob)))
        self.assertEqual(len(run("web", "--", "sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x").stdout), 3_000_000)

    def test_exec_with_a_terminal(self):
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 101, 0, 0))
        command = [self.program_of_kubectl, "exec", "-it", "web", "--", "sh", "-c",
                   "until [ \"$(stty size)\" = '33 101' ]; do sleep 0.1; done; echo sized; "
                   "until [ \"$(stty size)\" = '44 99' ]; do sleep 0.1; done; echo resized; read line; echo got $line; exit 5"]
        with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL,
                              env=self.environment_of_kubectl()) as program:
            os.close(theirs)
            text = b""
            while b"sized" not in text:
                text += os.read(ours, 1024)
            fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 44, 99, 0, 0))
            program.send_signal(signal.SIGWINCH)  # it is not the terminal's foreground, which would have it
            while b"resized" not in text:
                text += os.read(ours, 1024)
            os.write(ours, b"this\n")
            self.assertEqual(program.wait(timeout=30), 5)
            while b"got this" not in text:
                text += os.read(ours, 1024)
        os.close(ours)

    def test_attach_and_cp(self):
        with tempfile.TemporaryDirectory(dir=self.home) as folder:
            there, back = pathlib.Path(folder) / "there", pathlib.Path(folder) / "back"
            there.write_bytes(os.urandom(2_000_000))
            self.kubectl("cp", str(there), "web:/tmp/file")
            self.kubectl("cp", "web:/tmp/file", str(back))
            self.assertEqual(there.read_bytes(), back.read_bytes())
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "cat"},
               "spec": {"restartPolicy": "Never",
                        "containers": [{"name": "c", "image": "host", "stdin": True, "stdinOnce": True, "command": ["cat"]}]}}
        self.kubectl("apply", "-f", "-", input=json.dumps(pod))
        self.kubectl("wait", "pod/cat", "--for=condition=Ready", "--timeout=30s")
        self.assertIn("typed\n", self.kubectl("attach", "-i", "cat", input="typed\n"))
        self.assertEqual(self.line_with(self.start("attach", "server", "-c", "ticker"), "tick"), "tick\n")
        self.wait_phase("cat", "Succeeded")
        self.kubectl("delete", "pod", "cat")

    def test_run_and_debug(self):
        ran = self.run_kubectl("run", "-i", "--rm", "--restart=Never", "--image=host", "asked", "--command", "--",
                               "sh", "-c", "read l; echo got $l; exit 3", input="it\n")
        self.assertIn("got it\n", ran.stdout)
        self.assertEqual(ran.returncode, 3, ran.stderr)
        self.assertIn('"asked" not found', self.fails("get", "pod", "asked"))
        if self.is_old:
            return  # its debug speaks to an API that is long gone
        # The end of its input would end an attach to a container whose input stays open: it is held open.
        for target, words in (("web", ("-c", "dbg")), ("node/node1", ())):
            program = self.start("debug", "-i", target, "--image=host", *words, "--", "sh", "-c", "read l; echo seen $l",
                                 stdin=subprocess.PIPE)
            self.addCleanup(program.stdin.close)
            program.stdin.write("x\n")
            program.stdin.flush()
            self.assertIn("seen x\n", program.stdout.read())
            self.assertEqual(program.wait(30), 0)
        (debugger,) = [name for name in self.kubectl("get", "pods", "-o", "name").split() if "node-debugger" in name]
        self.assertEqual(self.kubectl("get", debugger, "-o", "jsonpath={.spec.nodeName} {.spec.hostPID}"), "node1 true")
        self.kubectl("delete", debugger)
        self.kubectl("debug", "web", "--image=host", "--copy-to=copied", "--", "sleep", "1000")
        self.wait_phase("copied", "Running")
        names = self.kubectl("get", "pod", "copied", "-o", "jsonpath={.spec.containers[*].name}").split()
        self.assertEqual(len(names), 3)
        self.kubectl("delete", "pod", "copied", "--force", "--grace-period=0")

    def test_follow_logs(self):
        self.kubectl("run", "counts", "--image=host", "--restart=Never", "--command", "--",
                     "sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.3; done")
        self.assertTrue(eventually(lambda: self.run_kubectl("logs", "counts").stdout.startswith("1\n")))
        self.assertEqual(self.kubectl("logs", "-f", "counts"), "1\n2\n3\n")
        self.kubectl("delete", "pod", "counts")

    def test_port_forward(self):
        program, ports = self.forward("server", 7000, 7001)
        answers = []
        threads = []
        for number in range(20):
            question = f"{number:05}".encode() * 20_000
            threads.append(threading.Thread(
                target=lambda question=question: answers.append(self.ask(ports[7000], question) == question[::-1])))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(answers, [True] * 20)
        body = os.urandom(2_000_000)
        with urllib.request.urlopen(f"http://127.0.0.1:{ports[7001]}/", data=body, timeout=60) as answer:
            self.assertEqual(answer.read(), body)
        program.send_signal(signal.SIGINT)
        program.wait(30)

    def test_by_way_of_services_and_workloads(self):
        self.kubectl("expose", "pod", "server", "--port=80", "--target-port=7000")
        program, ports = self.forward("svc/server", 80)
        self.assertEqual(self.ask(ports[80], b"question"), b"noitseuq")
        program.kill()
        self.kubectl("delete", "svc", "server")
        self.kubectl("create", "deployment", "many", "--image=host", "--replicas=2", "--", "sh", "-c", "echo up; exec sleep 1000")
        self.kubectl("rollout", "status", "deployment/many", "--timeout=30s")
        self.assertEqual(self.kubectl("exec", "deploy/many", "--", "echo", "hi"), "hi\n")
        self.assertEqual(self.kubectl("logs", "deploy/many"), "up\n")
        self.kubectl("delete", "deployment", "many")

    def test_port_forward_to_a_port_where_nobody_listens(self):
        program, ports = self.forward("server", 9)
        self.assertEqual(self.ask(ports[9], b""), b"")  # bytes that nobody reads would make it a reset
        line = program.stderr.readline()
        while "an error occurred forwarding" not in line:
            self.assertTrue(line, "no error was told")
            line = program.stderr.readline()
        self.assertIn(f"an error occurred forwarding {ports[9]} -> 9: error forwarding port 9 to pod server", line)
        self.assertIn('pods "nope" not found', self.fails("port-forward", "pod/nope", "8080"))

    def test_port_forward_ends_with_the_pod(self):
        self.kubectl("run", "short", "--image=host", "--command", "--", "sleep", "1000")
        self.kubectl("wait", "pod/short", "--for=condition=Ready", "--timeout=30s")
        program, ports = self.forward("short", 7000)
        self.kubectl("delete", "pod", "short", "--force", "--grace-period=0")
        self.assertTrue(eventually(lambda: "not found" in self.run_kubectl("get", "pod", "short").stderr))
        # 1.20 notices the end at the next connection.
        with socket.create_connection(("127.0.0.1", ports[7000]), timeout=60) as client:
            try:
                self.assertEqual(client.recv(10), b"")
            except ConnectionResetError:
                pass
        self.assertIn("lost connection to pod", program.stderr.read())

    def test_proxy(self):
        program = self.start("proxy", "--port=0")
        address = re.search(r"127\.0\.0\.1:\d+", program.stdout.readline()).group()
        with urllib.request.urlopen(f"http://{address}/api/v1/namespaces/default/pods/web", timeout=30) as answer:
            self.assertEqual(json.load(answer)["metadata"]["name"], "web")

    def test_nothing_is_left_of_clients_that_are_killed(self):
        (server,) = self.processes("server")
        agents = self.processes("agent")

        def open_files():
            return [len(os.listdir(f"/proc/{pid}/fd")) for pid in (server, *agents)]

        def programs():
            return self.run_kubectl("exec", "web", "--", "pgrep", "-xc", "sleep").stdout.strip()
        self.kubectl("exec", "web", "--", "true")
        before, sleeping = open_files(), programs()
        program, ports = self.forward("server", 7000)
        half_open = socket.create_connection(("127.0.0.1", ports[7000]), timeout=60)
        half_open.sendall(b"x")
        started = [self.start("exec", "web", "--", "sleep", "100000"),
                   self.start("exec", "-i", "web", "--", "sleep", "100000", stdin=subprocess.PIPE),
                   self.start("attach", "-i", "web", stdin=subprocess.PIPE),
                   self.start("logs", "-f", "web", "-c", "main"),
                   self.start("get", "pods", "-w")]
        self.assertTrue(eventually(lambda: programs() == str(int(sleeping) + 2)), programs())
        self.assertGreater(open_files()[0], before[0])
        for client in (program, *started):
            client.kill()
            client.wait()
            for pipe in filter(None, (client.stdin,)):
                pipe.close()
        half_open.close()
        self.assertTrue(eventually(lambda: programs() == sleeping), programs())
        self.assertTrue(eventually(lambda: all(now <= then for now, then in zip(open_files(), before))),
                        f"{before} {open_files()}")


class Streams120(Streams, LabTestCase):
    version = "1.20"
    is_old = True


class Streams132(Streams, LabTestCase):
    version = "1.32"


class Streams135(Streams, LabTestCase):
    version = "1.35"


class Streams135OverSpdy(Streams, LabTestCase):
    version = "1.35"
    settings = {"KUBECTL_REMOTE_COMMAND_WEBSOCKETS": "false", "KUBECTL_PORT_FORWARD_WEBSOCKETS": "false"}


if __name__ == "__main__":
    unittest.main()
