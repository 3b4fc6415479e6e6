"""CustomResourceDefinitions: the CronTab of Kubernetes' documentation, with kubectl, helm and podlab's own CLI."""
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import unittest

from harness import LabTestCase, eventually
from kubectl_case import KubectlCase

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent

DEFINITION = r"""
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: crontabs.stable.example.com}
spec:
  group: stable.example.com
  scope: Namespaced
  names: {plural: crontabs, singular: crontab, kind: CronTab, shortNames: [ct], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            description: What the cron tab should do.
            properties:
              cronSpec: {type: string, description: "When it runs.", pattern: '^(\d+|\*)(/\d+)?(\s+(\d+|\*)(/\d+)?){4}$'}
              image: {type: string}
              replicas: {type: integer, minimum: 1, maximum: 10}
          status:
            type: object
            properties:
              replicas: {type: integer}
              labelSelector: {type: string}
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas, labelSelectorPath: .status.labelSelector}
    additionalPrinterColumns:
    - {name: Spec, type: string, jsonPath: .spec.cronSpec}
    - {name: Replicas, type: integer, jsonPath: .spec.replicas}
    - {name: Image, type: string, jsonPath: .spec.image, priority: 1}
    - {name: Age, type: date, jsonPath: .metadata.creationTimestamp}
  - name: v1beta1
    served: true
    storage: false
    deprecated: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"""

OBJECT = """
apiVersion: stable.example.com/v1
kind: CronTab
metadata: {name: my-cron}
spec: {cronSpec: "* * * * */5", image: my-awesome-cron-image, replicas: 3}
"""


class Definitions(KubectlCase):
    """The tests; each class below runs them with one version."""

    def setUp(self):
        self.kubectl("apply", "-f", "-", input=DEFINITION)
        self.kubectl("wait", "--for=condition=established", "crd/crontabs.stable.example.com", "--timeout=10s")
        self.addCleanup(self.kubectl, "delete", "crd", "crontabs.stable.example.com", "--ignore-not-found")

    def apply(self, text, *arguments):
        return self.kubectl("apply", "-f", "-", *arguments, input=text)

    def test_is_served_and_goes(self):
        self.assertEqual(self.apply(OBJECT), "crontab.stable.example.com/my-cron created\n")
        rows = self.kubectl("get", "ct").splitlines()
        self.assertEqual(rows[0].split(), ["NAME", "SPEC", "REPLICAS", "AGE"])
        self.assertEqual(rows[1].split()[:7], ["my-cron", "*", "*", "*", "*", "*/5", "3"])
        self.assertIn("my-awesome-cron-image", self.kubectl("get", "crontabs", "-o", "wide"))
        self.assertIn("crontab.stable.example.com/my-cron", self.kubectl("get", "all"))
        self.assertIn("ct", self.kubectl("api-resources", "--api-group=stable.example.com"))
        self.assertIn("Cron Spec:", self.kubectl("describe", "ct", "my-cron"))
        self.assertIn("stable.example.com/v1\nstable.example.com/v1beta1", self.kubectl("api-versions"))
        definition = self.object("crd", "crontabs.stable.example.com")
        conditions = {one["type"]: (one["status"], one["reason"]) for one in definition["status"]["conditions"]}
        self.assertEqual(conditions, {"NamesAccepted": ("True", "NoConflicts"), "Established": ("True", "InitialNamesAccepted")})
        self.assertEqual(definition["status"]["storedVersions"], ["v1"])
        self.kubectl("delete", "crd", "crontabs.stable.example.com")
        # kubectl remembers what was there for ten minutes.
        self.assertIn("the server could not find the requested resource", self.fails("get", "ct"))
        # The objects are gone with it.
        self.apply(DEFINITION)
        self.kubectl("wait", "--for=condition=established", "crd/crontabs.stable.example.com", "--timeout=10s")
        self.assertEqual(self.object("ct")["items"], [])

    def test_explains(self):
        self.assertIn("When it runs.", self.kubectl("explain", "crontab.spec"))
        self.assertIn("cronSpec", self.kubectl("explain", "ct", "--recursive"))

    def test_validates(self):
        wrong = OBJECT.replace('"* * * * */5"', '"* * * *"').replace("replicas: 3", "replicas: 15")
        # 1.20 validates by the schema itself, before it asks.
        error = self.fails("apply", "-f", "-", "--validate=false", input=wrong)
        self.assertIn("spec.cronSpec in body should match", error)
        self.assertIn("spec.replicas in body should be less than or equal to 10", error)
        unknown = OBJECT.replace("replicas: 3", "replicas: 3, someRandomField: 42")
        self.assertIn('unknown field "', self.fails("apply", "-f", "-", "--validate=true", input=unknown))
        self.apply(unknown, "--validate=false")
        self.assertNotIn("someRandomField", self.object("ct", "my-cron")["spec"])

    def test_has_generation_status_and_scale(self):
        self.apply(OBJECT)
        self.assertEqual(self.object("ct", "my-cron")["metadata"]["generation"], 1)
        self.kubectl("scale", "--replicas=5", "ct/my-cron")
        scaled = self.object("ct", "my-cron")
        self.assertEqual((scaled["spec"]["replicas"], scaled["metadata"]["generation"]), (5, 2))
        self.assertIn("should be less than or equal to 10", self.fails("scale", "--replicas=50", "ct/my-cron"))
        self.kubectl("patch", "ct", "my-cron", "--type=merge", "-p", '{"status": {"replicas": 2}, "spec": {"image": "other"}}')
        changed = self.object("ct", "my-cron")
        self.assertEqual((changed["spec"]["image"], changed.get("status")), ("other", None))
        if not self.is_old:
            self.kubectl("patch", "ct", "my-cron", "--subresource=status", "--type=merge", "-p",
                         '{"status": {"replicas": 2, "labelSelector": "a=b"}, "spec": {"image": "no"}}')
            changed = self.object("ct", "my-cron")
            self.assertEqual((changed["spec"]["image"], changed["status"]["replicas"]), ("other", 2))
            self.assertEqual(changed["metadata"]["generation"], 3)
            scale = json.loads(self.kubectl("get", "ct", "my-cron", "--subresource=scale", "-o", "json"))
            self.assertEqual(scale["status"], {"replicas": 2, "selector": "a=b"})
        # kubectl itself knows no strategic merge for kinds that it does not have.
        self.fails("patch", "ct", "my-cron", "--type=strategic", "-p", '{"spec": {}}')
        self.kubectl("patch", "ct", "my-cron", "--type=json", "-p", '[{"op": "replace", "path": "/spec/replicas", "value": 7}]')
        self.assertEqual(self.object("ct", "my-cron")["spec"]["replicas"], 7)

    def test_is_applied(self):
        self.apply(OBJECT)
        self.assertIn("unchanged", self.apply(OBJECT))
        self.apply(OBJECT.replace("image: my-awesome-cron-image, ", ""))
        self.assertNotIn("image", self.object("ct", "my-cron")["spec"])
        self.apply(OBJECT, "--server-side", "--force-conflicts")
        self.assertEqual(self.object("ct", "my-cron")["spec"]["image"], "my-awesome-cron-image")
        self.kubectl("label", "ct", "my-cron", "a=b")
        self.assertIn("my-cron", self.kubectl("get", "ct", "-l", "a=b"))

    def test_has_versions(self):
        self.apply(OBJECT)
        path = "/apis/stable.example.com/v1beta1/namespaces/default/crontabs"
        older = json.loads(self.kubectl("get", "--raw", path + "/my-cron"))
        self.assertEqual((older["apiVersion"], older["spec"]["replicas"]), ("stable.example.com/v1beta1", 3))
        listed = json.loads(self.kubectl("get", "--raw", path))
        self.assertEqual((listed["kind"], listed["items"][0]["apiVersion"]), ("CronTabList", "stable.example.com/v1beta1"))
        self.apply(OBJECT.replace("/v1", "/v1beta1").replace("replicas: 3", "replicas: 4"))
        self.assertEqual(self.object("crontabs.v1.stable.example.com", "my-cron")["spec"]["replicas"], 4)

    def test_belongs_to_owners_namespaces_and_quotas(self):
        self.kubectl("create", "ns", "tabs")
        self.addCleanup(self.kubectl, "delete", "ns", "tabs", "--ignore-not-found")
        self.kubectl("create", "quota", "few", "-n", "tabs", "--hard=count/crontabs.stable.example.com=1")
        self.assertTrue(eventually(lambda: self.object("quota", "few", "-n", "tabs").get("status", {}).get("hard")))
        self.apply(OBJECT, "-n", "tabs")
        self.assertIn("exceeded quota", self.fails("apply", "-n", "tabs", "-f", "-", input=OBJECT.replace("my-cron", "other")))
        uid = self.object("ct", "my-cron", "-n", "tabs")["metadata"]["uid"]
        owned = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owned", "namespace": "tabs", "ownerReferences": [
            {"apiVersion": "stable.example.com/v1", "kind": "CronTab", "name": "my-cron", "uid": uid}]}}
        self.apply(json.dumps(owned))
        self.kubectl("delete", "ct", "my-cron", "-n", "tabs")
        self.assertTrue(eventually(lambda: self.run_kubectl("get", "cm", "owned", "-n", "tabs").returncode != 0))
        self.apply(OBJECT, "-n", "tabs")
        self.kubectl("delete", "ns", "tabs")
        self.assertEqual(self.object("ct", "-A")["items"], [])

    def test_refuses_what_is_not_structural(self):
        bad = DEFINITION.replace("image: {type: string}", "image: {}").replace("crontabs", "badtabs").replace("crontab,", "badtab,")
        error = self.fails("create", "--validate=false", "-f", "-", input=bad)
        self.assertIn("spec.versions[0].schema.openAPIV3Schema.properties[spec].properties[image].type: Required value", error)


class Kubectl135(Definitions, LabTestCase):
    version = "1.35"

    def test_is_kept_when_the_server_is_killed(self):
        self.apply(OBJECT)
        (server,) = self.processes("server")
        os.kill(server, signal.SIGKILL)
        self.assertTrue(eventually(lambda: self.processes("server") not in ([], [server])))
        self.assertTrue(eventually(lambda: self.run_kubectl("get", "--raw", "/readyz").returncode == 0))
        # It is served before the first answer.
        self.assertEqual(self.object("ct", "my-cron")["spec"]["replicas"], 3)

    def test_podlabs_own_cli(self):
        manifest = self.home / "cron.yaml"
        manifest.write_text(OBJECT)
        self.assertIn("crontab.stable.example.com/my-cron created", self.podlab("apply", "-f", str(manifest)))
        self.assertIn("unchanged", self.podlab("apply", "-f", str(manifest)))
        self.assertEqual(self.podlab("get", "ct").split()[:4], ["NAME", "SPEC", "REPLICAS", "AGE"])
        self.assertIn("Cron Spec:", self.podlab("describe", "crontab", "my-cron"))
        self.podlab("delete", "ct", "my-cron")
        self.assertEqual(self.object("ct")["items"], [])


class Kubectl132(Definitions, LabTestCase):
    version = "1.32"


class Kubectl120(Definitions, LabTestCase):
    version = "1.20"
    is_old = True


CHART = {
    "Chart.yaml": "apiVersion: v2\nname: tabs\nversion: 1.0.0\n",
    "crds/crontab.yaml": DEFINITION,
    "templates/tab.yaml": OBJECT,
}


class Helm(KubectlCase, LabTestCase):
    """A chart whose templates need the definitions of its crds/."""

    version = "1.35"

    def test_installs_a_chart_with_crds(self):
        for version in ("3", "4"):
            try:
                fetched = subprocess.run([ROOT / "scripts/helm", version], capture_output=True, text=True, check=True, timeout=120)
            except subprocess.SubprocessError as error:
                self.skipTest(f"helm {version} cannot be fetched: {error}")
            with self.subTest(version), tempfile.TemporaryDirectory() as folder:
                for name, text in CHART.items():
                    path = pathlib.Path(folder) / name
                    path.parent.mkdir(exist_ok=True)
                    path.write_text(text)

                def helm(*arguments, program=fetched.stdout.strip()):
                    done = subprocess.run([program, *arguments], env=self.environment_of_kubectl(), capture_output=True, text=True,
                                          check=False, timeout=60)
                    self.assertEqual(done.returncode, 0, done.stderr)

                helm("install", "tabs", folder, "--wait")
                self.assertEqual(self.object("ct", "my-cron")["spec"]["replicas"], 3)
                helm("uninstall", "tabs", "--wait")
                self.assertEqual(self.object("ct")["items"], [])
                self.kubectl("delete", "crd", "crontabs.stable.example.com")


if __name__ == "__main__":
    unittest.main()
