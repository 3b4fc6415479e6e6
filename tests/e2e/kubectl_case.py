"""Unmodified kubectl against a lab of the test's own."""
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

from harness import eventually

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent

PODS = """
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  nodeName: node1
  terminationGracePeriodSeconds: 1
  containers:
  - {name: main, image: host, command: [sh, -c, "echo hello; echo again; exec sleep infinity"], env: [{name: A, value: '1'}]}
  - {name: side, image: host, command: [sh, -c, "echo side; exec sleep infinity"]}
---
apiVersion: v1
kind: Pod
metadata: {name: once, labels: {app: once}}
spec:
  nodeName: node1
  restartPolicy: Never
  containers: [{name: main, image: host, command: [sh, -c, "echo run; exit 3"]}]
"""


class KubectlCase:
    """What tests with kubectl share; a test's class names the version and is a LabTestCase, too."""

    version = None
    is_old = False  # 1.20, which lacks some commands and flags
    settings = {}  # of kubectl's environment
    up_arguments = ("-n", "2")

    @classmethod
    def setUpClass(cls):
        try:
            fetched = subprocess.run([ROOT / "scripts/kubectl", cls.version], capture_output=True, text=True, check=True, timeout=120)
        except subprocess.SubprocessError as error:
            raise unittest.SkipTest(f"kubectl {cls.version} cannot be fetched: {error} {error.stderr}") from error
        cls.program_of_kubectl = fetched.stdout.strip()
        super().setUpClass()
        cls.home = pathlib.Path(tempfile.mkdtemp(dir=cls.state))
        (cls.home / "config").write_text(cls.run_podlab("kubeconfig").stdout)
        done = cls.run_kubectl("apply", "-f", "-", input=PODS)
        assert done.returncode == 0, done.stderr
        done = cls.run_kubectl("wait", "pod/web", "--for=condition=Ready", "--timeout=30s")
        assert done.returncode == 0, done.stderr

    @classmethod
    def run_kubectl(cls, *arguments, **options):
        if "input" not in options:
            options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("env", cls.environment_of_kubectl())
        return subprocess.run([cls.program_of_kubectl, *arguments], capture_output=True, text=True, check=False, timeout=60, **options)

    @classmethod
    def environment_of_kubectl(cls):
        return dict(os.environ, HOME=str(cls.home), KUBECONFIG=str(cls.home / "config"), **cls.settings)

    def kubectl(self, *arguments, **options):
        """Runs it, expects success, and returns stdout."""
        done = self.run_kubectl(*arguments, **options)
        self.assertEqual(done.returncode, 0, f"kubectl {' '.join(arguments)}: {done.stderr}{done.stdout}")
        return done.stdout

    def fails(self, *arguments, **options):
        """Runs it, expects failure, and returns stderr."""
        done = self.run_kubectl(*arguments, **options)
        self.assertNotEqual(done.returncode, 0, done.stdout)
        return done.stderr

    def object(self, *arguments):
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def start(self, *arguments, **options):
        """A kubectl that runs beside the test; killed after it."""
        program = subprocess.Popen([self.program_of_kubectl, *arguments], env=self.environment_of_kubectl(),
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
        self.addCleanup(program.stderr.close)
        self.addCleanup(program.stdout.close)
        self.addCleanup(program.wait)
        self.addCleanup(program.kill)
        return program

    def line_with(self, program, word):
        """The next line of its stdout that has the word."""
        while line := program.stdout.readline():
            if word in line:
                return line
        return self.fail(f"{word} did not come")

    def wait_phase(self, pod, phase):
        """As wait --for=jsonpath, which 1.20 does not know."""
        self.assertTrue(eventually(lambda: self.kubectl("get", "pod", pod, "-o", "jsonpath={.status.phase}") == phase), pod)
