"""ReplicaSets, ReplicationControllers and Deployments as kubectl's users handle them."""
import json
import os
import signal
import unittest

from harness import LabTestCase, eventually
from kubectl_case import KubectlCase


def template(name, **container):
    return {"metadata": {"labels": {"app": name}},
            "spec": {"terminationGracePeriodSeconds": 1,
                     "containers": [{"name": "c", "image": "host", "command": ["sleep", "infinity"], **container}]}}


class Workloads(KubectlCase):
    """The tests; each class below runs them with one version."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for arguments in (("create", "ns", "shop"), ("config", "set-context", "--current", "--namespace=shop")):
            done = cls.run_kubectl(*arguments)
            assert done.returncode == 0, done.stderr

    def apply(self, kind, name, spec, **container):
        version = "v1" if kind == "ReplicationController" else "apps/v1"
        made = {"apiVersion": version, "kind": kind, "metadata": {"name": name},
                "spec": {"template": template(name, **container), **spec}}
        if version != "v1":
            made["spec"]["selector"] = {"matchLabels": {"app": name}}
        return self.kubectl("apply", "-f", "-", input=json.dumps(made))

    def rolled_out(self, deployment):
        self.assertIn("successfully rolled out", self.kubectl("rollout", "status", f"deployment/{deployment}", "--timeout=50s"))

    def revisions(self, deployment):
        lines = self.kubectl("rollout", "history", f"deployment/{deployment}").splitlines()
        return [line.split()[0] for line in lines if line[:1].isdigit()]

    def images(self, app):
        return self.kubectl("get", "pods", "-l", f"app={app}", "-o", "jsonpath={.items[*].spec.containers[0].image}").split()

    def clean(self, *kinds):
        for kind in (*kinds, "rs"):
            self.kubectl("delete", kind, "--all")
        self.kubectl("delete", "pods", "--all", "--force", "--grace-period=0")

    def test_deployment_is_made_scaled_and_deleted(self):
        self.kubectl("create", "deployment", "web", "--image=host", "--replicas=2", "--", "sleep", "infinity")
        self.rolled_out("web")
        self.kubectl("wait", "--for=condition=available", "deployment/web", "--timeout=30s")
        self.assertRegex(self.kubectl("get", "deploy", "web", "-o", "wide"),
                         r"NAME +READY +UP-TO-DATE +AVAILABLE +AGE +CONTAINERS +IMAGES +SELECTOR\nweb +2/2 +2 +2 +\S+ +host +host +app=web\n")
        self.assertRegex(self.kubectl("get", "rs", "-o", "wide"),
                         r"NAME +DESIRED +CURRENT +READY +AGE +CONTAINERS +IMAGES +SELECTOR\n"
                         r"web-(\w+) +2 +2 +2 +\S+ +host +host +app=web,pod-template-hash=\1\n")
        self.kubectl("scale", "deployment/web", "--replicas=4")
        self.rolled_out("web")
        if not self.is_old:
            self.assertRegex(self.kubectl("get", "deploy", "web", "--subresource=scale"), r"NAME +DESIRED +AVAILABLE +AGE\nweb +4 +4 ")
        self.assertIn("xpected replicas to be 9, was 4", self.fails("scale", "deployment/web", "--current-replicas=9", "--replicas=1"))
        self.kubectl("scale", "deployment/web", "--current-replicas=4", "--replicas=1")
        self.rolled_out("web")
        self.assertEqual(self.object("deploy", "web")["spec"]["replicas"], 1)
        self.assertIn("must be greater than or equal to 0", self.fails("patch", "deploy", "web", "-p", '{"spec":{"replicas":-1}}'))
        self.assertIn("field is immutable", self.fails("patch", "deploy", "web", "-p", '{"spec":{"selector":{"matchLabels":{"x":"y"}}}}'))
        self.assertRegex(self.kubectl("get", "all"), r"deployment.apps/web +1/1")
        text = self.kubectl("describe", "deployment", "web")
        self.assertRegex(text, r"Replicas: +1 desired \| 1 updated \| 1 total \| 1 available \| 0 unavailable")
        self.assertRegex(text, r"NewReplicaSet: +web-\w+ \(1/1 replicas created\)")
        self.assertRegex(text, r"ScalingReplicaSet.*Scaled up replica set web-\w+ from 0 to 2")
        self.assertRegex(text, r"Available +True +MinimumReplicasAvailable")
        text = self.kubectl("describe", "rs")
        self.assertIn("Controlled By:  Deployment/web", text)
        self.assertRegex(text, r"SuccessfulCreate.*Created pod: web-")
        for what in () if self.is_old else ("deployments", "replicasets"):
            ours, kubectls = self.podlab("describe", what, "-n", "shop"), self.kubectl("describe", what)
            self.assertEqual(ours.partition("\nEvents:")[0], kubectls.partition("\nEvents:")[0])  # there are ages in them
        self.kubectl("delete", "deployment", "web")
        self.assertIn("not found", self.fails("get", "deploy", "web"))
        self.clean("deploy")

    def test_rollouts(self):
        self.apply("Deployment", "api", {"replicas": 2, "progressDeadlineSeconds": 600}, env=[{"name": "A", "value": "1"}])
        self.rolled_out("api")
        self.kubectl("annotate", "deploy/api", "kubernetes.io/change-cause=first")
        self.kubectl("set", "env", "deployment/api", "A=2")
        self.rolled_out("api")
        self.kubectl("set", "resources", "deployment/api", "--limits=memory=200Mi")
        self.rolled_out("api")
        self.assertEqual(self.revisions("api"), ["1", "2", "3"])
        self.assertIn("memory:\t200Mi", self.kubectl("rollout", "history", "deployment/api", "--revision=3"))
        self.assertIn("first", self.kubectl("rollout", "history", "deployment/api"))

        # An image that is nowhere: the rollout stands still, and what was there goes on.
        self.kubectl("set", "image", "deployment/api", "c=nowhere:1")
        waited = self.run_kubectl("rollout", "status", "deployment/api", "--timeout=2s")
        self.assertNotEqual(waited.returncode, 0, waited.stdout)
        self.assertIn("nowhere:1", self.images("api"))
        self.assertEqual(self.object("deploy", "api")["status"]["readyReplicas"], 2)
        self.assertIn("rolled back", self.kubectl("rollout", "undo", "deployment/api"))
        self.rolled_out("api")
        self.assertEqual(self.revisions("api"), ["1", "2", "4", "5"])
        self.kubectl("rollout", "undo", "deployment/api", "--to-revision=1")
        self.rolled_out("api")
        found = self.object("deploy", "api")
        self.assertEqual(found["spec"]["template"]["spec"]["containers"][0]["env"], [{"name": "A", "value": "1"}])
        self.assertEqual(found["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "6")

        self.kubectl("rollout", "restart", "deployment/api")
        self.rolled_out("api")
        self.assertIn("kubectl.kubernetes.io/restartedAt",
                      self.object("deploy", "api")["spec"]["template"]["metadata"]["annotations"])
        self.kubectl("rollout", "pause", "deployment/api")
        self.kubectl("set", "env", "deployment/api", "A=3")
        self.kubectl("set", "env", "deployment/api", "B=4")
        self.assertTrue(eventually(lambda: "DeploymentPaused" in self.kubectl("describe", "deploy", "api")))
        before = self.revisions("api")
        self.assertIn("already paused", self.fails("rollout", "pause", "deployment/api"))
        self.kubectl("rollout", "resume", "deployment/api")
        self.rolled_out("api")
        self.assertEqual(len(self.revisions("api")), len(before) + 1)
        self.clean("deploy")

    def test_what_is_applied_again_is_unchanged(self):
        for kind in ("Deployment", "ReplicaSet", "ReplicationController"):
            self.assertIn("created", self.apply(kind, "same", {"replicas": 0}))
            self.assertIn("unchanged", self.apply(kind, "same", {"replicas": 0}))
        self.clean("deploy", "rc")

    def test_recreate_never_runs_two_revisions(self):
        self.apply("Deployment", "db", {"replicas": 2, "strategy": {"type": "Recreate"}}, env=[{"name": "A", "value": "1"}])
        self.rolled_out("db")
        self.kubectl("set", "env", "deployment/db", "A=2")
        self.rolled_out("db")
        events = self.kubectl("get", "events", "--field-selector=involvedObject.name=db,reason=ScalingReplicaSet",
                              "-o", "jsonpath={range .items[*]}{.message}{\"\\n\"}{end}")
        self.assertRegex(events, r"Scaled down replica set db-\w+ from 2 to 0\nScaled up replica set db-\w+ from 0 to 2\n$")
        self.clean("deploy")

    def test_rollouts_go_on_when_the_server_is_killed(self):
        self.apply("Deployment", "sturdy", {"replicas": 4}, env=[{"name": "A", "value": "0"}])
        self.rolled_out("sturdy")
        for value in ("1", "2", "3"):
            self.kubectl("set", "env", "deployment/sturdy", f"A={value}")
            (server,) = self.processes("server")
            os.kill(server, signal.SIGKILL)
            self.assertTrue(eventually(lambda: self.run_kubectl("get", "--raw", "/readyz").returncode == 0))
        self.rolled_out("sturdy")
        self.assertTrue(eventually(lambda: len(self.images("sturdy")) == 4))
        values = self.kubectl("get", "pods", "-l", "app=sturdy", "-o", "jsonpath={.items[*].spec.containers[0].env[0].value}")
        self.assertEqual(values, "3 3 3 3")
        self.assertEqual(self.revisions("sturdy")[-1], "4")
        self.clean("deploy")

    def test_replica_sets_and_replication_controllers(self):
        self.apply("ReplicaSet", "front", {"replicas": 2})
        self.apply("ReplicationController", "old", {"replicas": 1})
        for kind, name, count in (("rs", "front", 2), ("rc", "old", 1)):
            self.assertTrue(eventually(lambda k=kind, n=name, c=count: self.object(k, n)["status"].get("readyReplicas") == c))
        self.assertRegex(self.kubectl("get", "rc", "-o", "wide"), r"old +1 +1 +1 +\S+ +c +host +app=old\n")
        name = self.kubectl("get", "pods", "-l", "app=front", "-o", "jsonpath={.items[0].metadata.name}")
        # A pod that loses its label is nobody's, and another takes its place.
        self.kubectl("label", "pod", name, "app=aside", "--overwrite")
        self.assertTrue(eventually(lambda: len(self.images("front")) == 2))
        self.assertTrue(eventually(lambda: "ownerReferences" not in self.object("pod", name)["metadata"]))
        self.kubectl("scale", "rc/old", "rs/front", "--replicas=0")
        self.assertTrue(eventually(lambda: self.object("rs", "front")["status"]["replicas"] == 0))
        self.assertIn("Replicas:     0 current / 0 desired", self.kubectl("describe", "rc", "old"))
        self.assertIn("status.replicas", self.kubectl("get", "rs", "--field-selector=status.replicas=0", "-o",
                                                      "custom-columns=status.replicas:.status.replicas"))
        self.clean("rc")


class Workloads120(Workloads, LabTestCase):
    version = "1.20"
    is_old = True


class Workloads132(Workloads, LabTestCase):
    version = "1.32"


class Workloads135(Workloads, LabTestCase):
    version = "1.35"


if __name__ == "__main__":
    unittest.main()
