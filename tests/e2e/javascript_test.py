"""The JavaScript client of Kubernetes (@kubernetes/client-node) against a lab."""
import json
import os
import pathlib
import subprocess
import unittest

from harness import LabTestCase

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
# 7000 sends back in reverse what it gets.
PODS = """
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: main, image: host, command: [sh, -c, "echo hello; echo again; exec sleep infinity"]}
  - name: reverse
    image: host
    command:
    - python3
    - -c
    - |
      import socketserver
      class Reverse(socketserver.StreamRequestHandler):
          def handle(self):
              self.wfile.write(self.rfile.read()[::-1])
      socketserver.ThreadingTCPServer(("", 7000), Reverse).serve_forever()
    readinessProbe: {tcpSocket: {port: 7000}, periodSeconds: 1}
  - {name: ticker, image: host, command: [sh, -c, "while :; do echo tick; sleep 0.2; done"]}
"""


class JavaScriptTest(LabTestCase):
    up_arguments = ("-n", "1")

    @classmethod
    def setUpClass(cls):
        try:
            fetched = subprocess.run([ROOT / "scripts/client-node"], capture_output=True, text=True, check=True, timeout=120)
        except subprocess.SubprocessError as error:
            raise unittest.SkipTest(f"the JavaScript client cannot be fetched: {error} {error.stderr}") from error
        super().setUpClass()
        config = cls.state / "kubeconfig"
        config.write_text(cls.run_podlab("kubeconfig").stdout)
        cls.run_podlab("apply", "-f", "-", input=PODS)
        cls.run_podlab("wait", "pod", "web", "--for", "condition=Ready", "--timeout", "60s")
        with open(ROOT / "tests/e2e/client_node.mjs", encoding="utf8") as script:
            done = subprocess.run(["node", "--input-type=module"], stdin=script, cwd=fetched.stdout.strip(), capture_output=True,
                                  text=True, check=False, timeout=60, env=dict(os.environ, KUBECONFIG=str(config)))
        if done.returncode != 0:
            cls.tearDownClass()
            raise AssertionError(done.stderr)
        cls.found = json.loads(done.stdout)

    def test_objects(self):
        self.assertEqual(self.found["pods"], ["web"])
        self.assertEqual(self.found["uid"], "string")
        self.assertEqual(self.found["watched"], "ADDED")
        self.assertEqual(self.found["patched"], "2")
        self.assertEqual(self.found["merged"], {"a": "2", "b": "merged", "c": "strategic", "d": "applied"})
        self.assertEqual(self.found["missing"], 404)
        self.assertIn("Started", self.found["events"])

    def test_metrics(self):
        self.assertEqual(self.found["nodes"], ["node1"])
        self.assertEqual(self.found["usage"], ["main", "reverse", "ticker"])

    def test_custom_objects(self):
        # Pruned by the schema, as a new object.
        self.assertEqual(self.found["note"], ["hi", True, 1])

    def test_exec_and_log(self):
        self.assertEqual(self.found["exec"], {"out": "out\n", "err": "err\n", "status": "Failure", "reason": "NonZeroExitCode"})
        self.assertEqual(self.found["input"], {"out": "typed", "err": "", "status": "Success"})
        self.assertEqual(self.found["log"], "again\n")

    def test_port_forward(self):
        self.assertEqual(self.found["forward"], {"closed": 1000, "answer": "olleh", "error": ""})
        self.assertEqual(self.found["refused"]["closed"], 1000)
        self.assertEqual(self.found["refused"]["answer"], "")
        self.assertIn("error forwarding port 9 to pod web", self.found["refused"]["error"])


if __name__ == "__main__":
    unittest.main()
