"""Unmodified helm 3 and 4 against a lab."""
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

from harness import LabTestCase

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent

CHART = {
    "Chart.yaml": """
apiVersion: v2
name: shop
version: 1.2.3
appVersion: "7"
""",
    "values.yaml": """
replicas: 1
greeting: hello
""",
    "templates/shop.yaml": """
apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ .Release.Name }}-page"}
data: {index.html: "{{ .Values.greeting }}"}
---
apiVersion: v1
kind: Service
metadata: {name: "{{ .Release.Name }}"}
spec: {selector: {app: "{{ .Release.Name }}"}, ports: [{port: 80, targetPort: http}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: "{{ .Release.Name }}"}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: "{{ .Release.Name }}"}}
  template:
    metadata: {labels: {app: "{{ .Release.Name }}"}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: web
        image: host
        command: [python3, -m, http.server, "80", -d, /page]
        ports: [{name: http, containerPort: 80}]
        readinessProbe: {httpGet: {path: /, port: http}, periodSeconds: 1}
        volumeMounts: [{name: page, mountPath: /page}]
      volumes: [{name: page, configMap: {name: "{{ .Release.Name }}-page"}}]
""",
}


class Helm:
    """The tests; each class below runs them with one version."""

    version = None
    up_arguments = ("-n", "2")

    @classmethod
    def setUpClass(cls):
        try:
            fetched = subprocess.run([ROOT / "scripts/helm", cls.version], capture_output=True, text=True, check=True, timeout=120)
        except subprocess.SubprocessError as error:
            raise unittest.SkipTest(f"helm {cls.version} cannot be fetched: {error} {error.stderr}") from error
        cls.program_of_helm = fetched.stdout.strip()
        super().setUpClass()
        cls.home = pathlib.Path(tempfile.mkdtemp(dir=cls.state))
        (cls.home / "config").write_text(cls.run_podlab("kubeconfig").stdout)
        cls.chart = cls.home / "shop"
        for name, text in CHART.items():
            (cls.chart / name).parent.mkdir(parents=True, exist_ok=True)
            (cls.chart / name).write_text(text)

    def helm(self, *arguments):
        """Runs it, expects success, and returns stdout."""
        environment = dict(os.environ, HOME=str(self.home), KUBECONFIG=str(self.home / "config"))
        done = subprocess.run([self.program_of_helm, *arguments], env=environment, capture_output=True, text=True, check=False, timeout=120)
        self.assertEqual(done.returncode, 0, f"helm {' '.join(arguments)}: {done.stderr}{done.stdout}")
        return done.stdout

    def listed(self, kind):
        return json.loads(self.podlab("get", kind, "-n", "shop", "-o", "json"))["items"]

    def deployment(self):
        (one,) = self.listed("deployments")
        return one

    def page(self):
        (page,) = [each for each in self.listed("configmaps") if each["metadata"]["name"] == "front-page"]
        return page["data"]["index.html"]

    def test_a_release_from_install_to_uninstall(self):
        installed = self.helm("install", "front", str(self.chart), "--namespace", "shop", "--create-namespace", "--wait", "--timeout", "60s")
        self.assertIn("STATUS: deployed", installed)
        self.assertEqual(self.deployment()["status"]["readyReplicas"], 1, "--wait waits for readiness")
        self.assertEqual(self.page(), "hello")

        (release,) = json.loads(self.helm("list", "-n", "shop", "-o", "json"))
        self.assertEqual((release["name"], release["status"], release["chart"]), ("front", "deployed", "shop-1.2.3"))
        self.assertIn("STATUS: deployed", self.helm("status", "front", "-n", "shop"))

        self.helm("upgrade", "front", str(self.chart), "-n", "shop", "--set", "replicas=2,greeting=again", "--wait", "--timeout", "60s")
        self.assertEqual(self.deployment()["status"]["readyReplicas"], 2)
        self.assertEqual(self.page(), "again")
        history = json.loads(self.helm("history", "front", "-n", "shop", "-o", "json"))
        self.assertEqual([each["status"] for each in history], ["superseded", "deployed"])
        self.assertIn("replicas: 2", self.helm("get", "manifest", "front", "-n", "shop"))
        self.assertIn("greeting: again", self.helm("get", "values", "front", "-n", "shop"))

        self.helm("rollback", "front", "1", "-n", "shop", "--wait", "--timeout", "60s")
        self.assertEqual(self.deployment()["spec"]["replicas"], 1)
        self.assertEqual(self.page(), "hello")

        self.helm("uninstall", "front", "-n", "shop", "--wait", "--timeout", "60s")
        self.assertEqual(self.listed("deployments"), [])
        self.assertEqual(self.listed("services"), [])
        self.assertEqual(json.loads(self.helm("list", "-n", "shop", "-o", "json")), [])


class Helm3(Helm, LabTestCase):
    version = "3"


class Helm4(Helm, LabTestCase):
    version = "4"


if __name__ == "__main__":
    unittest.main()
