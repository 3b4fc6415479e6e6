"""attach, logs, exec and port-forward as a user meets them."""
import os
import re
import signal
import socket
import subprocess
import threading
import unittest

from harness import LabTestCase, eventually

PODS = """
apiVersion: v1
kind: Pod
metadata: {name: echo, labels: {app: streams}}
spec:
  restartPolicy: Never
  containers:
  - name: main
    image: host
    stdin: true
    stdinOnce: true
    command: [sh, -c, "echo start; while read l; do echo got $l; echo err $l >&2; done; echo bye; exit 4"]
---
apiVersion: v1
kind: Pod
metadata: {name: two, labels: {app: streams}}
spec:
  terminationGracePeriodSeconds: 1
  initContainers:
  - {name: first, image: host, command: [echo, "from first"]}
  containers:
  - {name: a, image: host, command: [sh, -c, "echo from a; exec sleep 1000"]}
  - {name: b, image: host, stdin: true, command: [cat]}
---
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: v4
    image: host
    ports: [{name: talk, containerPort: 7000}]
    command:
    - python3
    - -c
    - |
      import socketserver
      class Reverse(socketserver.StreamRequestHandler):
          def handle(self):
              self.wfile.write(self.rfile.read()[::-1])  # answers only when the client has ended its side
      class Server(socketserver.ThreadingTCPServer):
          request_queue_size = 128
      Server(("127.0.0.1", 7000), Reverse).serve_forever()
  - {name: v6, image: host, command: [python3, -m, http.server, --bind, "::1", "7001"]}
---
apiVersion: v1
kind: Pod
metadata: {name: noisy}
spec:
  containers:
  - {name: main, image: host, command: [sh, -c, "seq 10000000 11499999; exec sleep 1000"]}
---
apiVersion: v1
kind: Pod
metadata: {name: pulling}
spec:
  containers:
  - {name: main, image: nowhere.invalid/none:1}
"""


class Streams(LabTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.run_podlab("apply", "-f", "-", input=PODS)
        cls.run_podlab("wait", "pod", "echo", "two", "web", "noisy", "--for", "condition=Ready", "--timeout", "60s")

    def start(self, *arguments, **options):
        process = subprocess.Popen([self.program, *arguments], env=self.environment, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, **options)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def fails(self, message, *arguments):
        done = self.run_podlab(*arguments)
        self.assertNotEqual(done.returncode, 0, done.stdout)
        self.assertIn(message, done.stderr)

    def test_attach_to_stdin_once(self):
        watcher = self.start("attach", "echo", stdin=subprocess.DEVNULL)
        self.assertIn("command prompt", watcher.stderr.readline())
        pid = self.processes("agent", "--node-name", self.objects("pods", "--field-selector", "metadata.name=echo")[0]
                             ["spec"]["nodeName"])
        os.kill(pid[0], signal.SIGKILL)
        self.assertEqual(watcher.wait(30), 1)  # its agent is gone, the container is not
        eventually(lambda: self.run_podlab("exec", "echo", "--", "true").returncode == 0)
        typed = self.start("attach", "echo", "-i", stdin=subprocess.PIPE)
        typed.stdin.write("one\ntwo\n")
        typed.stdin.close()
        self.assertEqual(typed.wait(30), 0)
        self.assertEqual(typed.stdout.read(), "got one\ngot two\nbye\n")
        self.assertIn("err one\nerr two\n", typed.stderr.read())
        self.assertTrue(eventually(lambda: self.objects("pods", "--field-selector", "metadata.name=echo")[0]["status"]["phase"]
                                   == "Failed"))
        self.assertRegex(self.podlab("logs", "echo"), "^start\n(got one\n|err one\n)")
        self.fails("cannot attach a container in a completed pod; current phase is Failed", "attach", "echo")

    def test_attach_several_at_once_and_detach(self):
        clients = [self.start("attach", "two", "-c", "b", stdin=subprocess.DEVNULL) for _ in range(3)]
        stuck = self.start("attach", "two", "-c", "b", stdin=subprocess.DEVNULL)
        for client in [*clients, stuck]:
            self.assertIn("command prompt", client.stderr.readline())
        text = "".join(f"{i:06}\n" for i in range(100_000))  # more than all buffers of the one who does not read
        typist = self.start("attach", "two", "-c", "b", "-i", stdin=subprocess.PIPE)
        writing = threading.Thread(target=lambda: (typist.stdin.write(text), typist.stdin.close()))
        writing.start()
        for client in clients:
            self.assertEqual(client.stdout.read(len(text)), text)
            client.send_signal(signal.SIGINT)
            self.assertEqual(client.wait(20), 130)
        typist.stdout.read()
        writing.join()
        self.assertEqual(typist.wait(20), 0, typist.stderr.read())  # stdin ended, the container's stays open
        self.assertEqual(stuck.stdout.read(len(text)), text)  # it was late only

    def test_logs_of_several(self):
        self.assertEqual(self.podlab("logs", "two", "--all-containers"), "from first\nfrom a\n" +
                         self.podlab("logs", "two", "-c", "b"))
        self.assertIn("[pod/two/a] from a\n", self.podlab("logs", "-l", "app=streams", "--prefix"))
        self.assertIn('Defaulted container "a" out of: a, b, first (init)', self.run_podlab("logs", "two").stderr)
        self.assertEqual(self.podlab("logs", "two", "first"), "from first\n")
        self.assertRegex(self.podlab("logs", "two", "a", "--timestamps", "--since-time", "2020-01-01T00:00:00Z"),
                         r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z from a\n$")
        self.assertEqual(self.podlab("logs", "two", "a", "--since-time", "2120-01-01T00:00:00Z"), "")
        self.fails("maximum allowed concurrency is 1, use --max-log-requests", "logs", "-f", "-l", "app=streams",
                   "--max-log-requests", "1")
        self.fails("only a selector (-l) or a POD name is allowed", "logs", "two", "-l", "app=streams")
        self.fails("at most one of", "logs", "two", "--since", "5s", "--since-time", "2020-01-01T00:00:00Z")
        self.fails('previous terminated container "a" in pod "two" not found', "logs", "two", "-p", "-c", "a")
        self.fails("container x is not valid for pod two", "logs", "two", "-c", "x")
        self.assertRegex(eventually(lambda: self.run_podlab("logs", "pulling").stderr),
                         'container "main" in pod "pulling" is waiting to start: (image can.t be pulled|trying and failing)')

    def test_rotated_log_is_read_as_one(self):
        lines = self.podlab("logs", "noisy").splitlines()[1:]  # the first may have begun in a file that is gone
        self.assertEqual(lines, [str(n) for n in range(11_500_000 - len(lines), 11_500_000)])
        self.assertGreater(len(lines), 600_000)
        self.assertEqual(self.podlab("logs", "noisy", "--tail", "500000").splitlines(), lines[-500_000:])
        (folder,) = self.state.glob("*/nodes/*/pods/" + self.objects("pods", "--field-selector", "metadata.name=noisy")[0]
                                    ["metadata"]["uid"])
        files = [file for file in folder.iterdir() if file.name.startswith("main.0.log")]
        self.assertEqual(len(files), 5)
        self.assertLessEqual(max(file.stat().st_size for file in files), 10 << 20)

    def test_exec(self):
        self.fails("not found in $PATH", "exec", "two", "-c", "a", "--", "no-such-shell")
        self.assertEqual(self.run_podlab("exec", "two", "-c", "a", "--", "sh", "-c", "kill -TERM $$").returncode, 143)
        self.assertEqual(self.podlab("exec", "-i", "two", "-c", "a", "--", "wc", "-c", input="x" * 3_000_000), "3000000\n")
        # One that never reads holds up nobody else on the same agent's connection.
        stuck = self.start("exec", "two", "-c", "a", "--", "yes")
        stuck.stdout.read(1)
        self.assertEqual(len(self.podlab("exec", "two", "-c", "a", "--", "head", "-c", "20000000", "/dev/zero")), 20_000_000)
        stuck.kill()
        self.assertTrue(eventually(
            lambda: self.run_podlab("exec", "two", "-c", "a", "--", "pgrep", "-x", "yes").returncode == 1))

    def test_port_forward(self):
        forward = self.start("port-forward", "web", ":talk", ":7001", ":7002")
        ports = {}
        for _ in range(6):
            line = forward.stdout.readline()
            address, port, remote = re.fullmatch(r"Forwarding from (127\.0\.0\.1|\[::1\]):(\d+) -> (\d+)\n", line).groups()
            ports[remote] = int(port)

        def ask(number):
            question = f"{number:05}" * 20_000
            with socket.create_connection(("127.0.0.1" if number % 2 else "::1", ports["7000"]), timeout=60) as client:
                client.sendall(question.encode())
                client.shutdown(socket.SHUT_WR)
                answer = b""
                while piece := client.recv(1 << 16):
                    answer += piece
            answers.append(answer.decode() == question[::-1])

        answers = []
        clients = [threading.Thread(target=ask, args=(number,)) for number in range(30)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        self.assertEqual(answers, [True] * 30)
        with socket.create_connection(("127.0.0.1", ports["7001"]), timeout=60) as client:
            client.sendall(b"GET /none HTTP/1.0\r\n\r\n")
            with client.makefile() as answer:
                self.assertIn("404 File not found", answer.read())
        with socket.create_connection(("127.0.0.1", ports["7002"]), timeout=60) as client:
            self.assertEqual(client.recv(100), b"")
        self.assertIn(f"an error occurred forwarding {ports['7002']} -> 7002: error forwarding port 7002 to pod",
                      forward.stderr.readline())
        taken = self.run_podlab("port-forward", "web", f"{ports['7000']}:7000")
        self.assertEqual(taken.returncode, 1)
        self.assertIn(f"unable to listen on any of the requested ports: [{{{ports['7000']} 7000}}]", taken.stderr)
        self.fails("Pod 'web' does not have a named port 'nope'", "port-forward", "web", "nope")
        self.podlab("delete", "pod", "web")
        self.assertEqual(forward.wait(30), 1)
        self.assertIn("lost connection to pod", forward.stderr.read())


if __name__ == "__main__":
    unittest.main()
