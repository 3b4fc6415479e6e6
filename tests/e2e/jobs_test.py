"""Jobs, CronJobs, DaemonSets and StatefulSets, by unmodified kubectl of several minor versions."""
import json
import unittest

from harness import LabTestCase, eventually
from kubectl_case import KubectlCase

INDEXED = """
apiVersion: batch/v1
kind: Job
metadata: {name: indexed}
spec:
  completions: 3
  parallelism: 3
  completionMode: Indexed
  template:
    spec:
      restartPolicy: Never
      containers: [{name: main, image: host, command: [sh, -c, "echo $JOB_COMPLETION_INDEX on $(hostname)"]}]
"""

FAILING = """
apiVersion: batch/v1
kind: Job
metadata: {name: failing}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers: [{name: main, image: host, command: [sh, -c, "exit 3"]}]
"""

DAEMONS = """
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: daemon}
spec:
  selector: {matchLabels: {app: daemon}}
  template:
    metadata: {labels: {app: daemon}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: main, image: host, command: [sleep, infinity], env: [{name: VERSION, value: one}]}]
"""

STATEFUL = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: store}
spec:
  serviceName: store
  replicas: 2
  selector: {matchLabels: {app: store}}
  template:
    metadata: {labels: {app: store}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: main
        image: host
        command: [sh, -c, "hostname > /data/name; exec sleep infinity"]
        env: [{name: VERSION, value: one}]
        volumeMounts: [{name: data, mountPath: /data}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec:
      accessModes: [ReadWriteOnce]
      resources: {requests: {storage: 1Mi}}
"""


class Jobs(KubectlCase):
    """The tests; each class below runs them with one version."""

    def apply_text(self, text):
        self.kubectl("apply", "-f", "-", input=text)

    def pods_of(self, label):
        return json.loads(self.kubectl("get", "pods", "-l", label, "-o", "json"))["items"]

    def test_a_job_runs_to_its_end(self):
        self.kubectl("create", "job", "once", "--image=host", "--", "sh", "-c", "echo done it")
        self.kubectl("wait", "job/once", "--for=condition=complete", "--timeout=30s")
        self.assertEqual(self.kubectl("logs", "job/once"), "done it\n")
        self.assertRegex(self.kubectl("get", "jobs"), r"NAME +STATUS +COMPLETIONS +DURATION +AGE\n.*once +Complete +1/1 ")
        described = self.kubectl("describe", "job", "once")
        active = "0 Running" if self.is_old else r"0 Active \(0 Ready\)"
        self.assertRegex(described, rf"Pods Statuses: +{active} / 1 Succeeded / 0 Failed")
        for reason in ("SuccessfulCreate", "Completed"):
            self.assertTrue(eventually(lambda: reason in self.kubectl("describe", "job", "once")), reason)
        (pod,) = self.pods_of("job-name=once")
        self.assertNotIn("finalizers", pod["metadata"])
        self.kubectl("delete", "job", "once")

    def test_an_indexed_job(self):
        self.apply_text(INDEXED)
        self.kubectl("wait", "job/indexed", "--for=condition=complete", "--timeout=30s")
        job = self.object("job", "indexed")
        self.assertEqual(job["status"]["completedIndexes"], "0-2")
        self.assertEqual(job["status"]["succeeded"], 3)
        lines = self.kubectl("logs", "-l", "job-name=indexed")
        self.assertEqual(sorted(lines.splitlines()), [f"{i} on indexed-{i}" for i in range(3)])
        self.kubectl("delete", "job", "indexed")

    def test_a_failing_job(self):
        self.apply_text(FAILING)
        self.kubectl("wait", "job/failing", "--for=condition=failed", "--timeout=30s")
        failed = [c for c in self.object("job", "failing")["status"]["conditions"] if c["type"] == "Failed"]
        self.assertEqual(failed[0]["reason"], "BackoffLimitExceeded")
        self.assertRegex(self.kubectl("get", "job", "failing"), r"failing +Failed +0/1 ")
        self.assertIn("field is immutable", self.fails("patch", "job", "failing", "-p", '{"spec":{"completions":3}}'))
        self.kubectl("delete", "job", "failing")

    def test_a_cron_job(self):
        if self.is_old:  # its create and describe speak to batch/v1beta1, which is gone
            self.apply_text(json.dumps({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "tick"}, "spec": {
                "schedule": "@yearly", "jobTemplate": {"spec": {"template": {"spec": {
                    "restartPolicy": "Never", "containers": [{"name": "c", "image": "host", "command": ["true"]}]}}}}}}))
        else:
            self.kubectl("create", "cronjob", "tick", "--image=host", "--schedule=@yearly", "--", "true")
        self.assertRegex(self.kubectl("get", "cronjobs"),
                         r"NAME +SCHEDULE +TIMEZONE +SUSPEND +ACTIVE +LAST SCHEDULE +AGE\ntick +@yearly +<none> +False +0 +<none> ")
        if self.is_old:
            self.kubectl("delete", "cronjob", "tick")
            return
        self.kubectl("create", "job", "by-hand", "--from=cronjob/tick")
        self.kubectl("wait", "job/by-hand", "--for=condition=complete", "--timeout=30s")
        self.assertEqual(self.object("job", "by-hand")["metadata"]["annotations"]["cronjob.kubernetes.io/instantiate"], "manual")
        self.assertIn("Schedule:", self.kubectl("describe", "cronjob", "tick"))
        self.assertIn("expected exactly 5 fields", self.fails("create", "cronjob", "bad", "--image=host", "--schedule=nonsense now"))
        self.kubectl("delete", "cronjob", "tick")
        self.run_kubectl("delete", "job", "by-hand")

    def test_a_daemon_set_is_rolled_out_and_back(self):
        self.apply_text(DAEMONS)
        self.assertIn("successfully rolled out", self.kubectl("rollout", "status", "ds/daemon", "--timeout=30s"))
        nodes = sorted(pod["spec"]["nodeName"] for pod in self.pods_of("app=daemon"))
        self.assertEqual(nodes, ["node1", "node2"])
        self.assertRegex(self.kubectl("get", "ds"), r"daemon +2 +2 +2 +2 +2 +<none> ")
        self.kubectl("set", "env", "ds/daemon", "VERSION=two")
        self.kubectl("rollout", "status", "ds/daemon", "--timeout=30s")
        self.assertEqual({pod["spec"]["containers"][0]["env"][0]["value"] for pod in self.pods_of("app=daemon")}, {"two"})
        history = self.kubectl("rollout", "history", "ds/daemon")
        self.assertRegex(history, r"1 +<none>\n2 +<none>")
        self.assertRegex(self.kubectl("rollout", "history", "ds/daemon", "--revision=1"), r"VERSION:\s+one")
        self.assertIn("rolled back", self.kubectl("rollout", "undo", "ds/daemon"))
        self.kubectl("rollout", "status", "ds/daemon", "--timeout=30s")
        self.assertEqual({pod["spec"]["containers"][0]["env"][0]["value"] for pod in self.pods_of("app=daemon")}, {"one"})
        self.assertRegex(self.kubectl("rollout", "history", "ds/daemon"), r"2 +<none>\n3 +<none>")
        self.kubectl("rollout", "restart", "ds/daemon")
        self.kubectl("rollout", "status", "ds/daemon", "--timeout=30s")
        self.assertRegex(self.kubectl("get", "controllerrevisions"), r"daemonset\.apps/daemon +4 ")
        self.assertIn("Desired Number of Nodes Scheduled: 2", self.kubectl("describe", "ds", "daemon"))
        self.kubectl("run", "driven", "--image=host", "--overrides", '{"spec":{"nodeName":"node2","terminationGracePeriodSeconds":0}}',
                     "--command", "--", "sleep", "1000")
        self.assertIn("cannot delete DaemonSet-managed Pods", self.fails("drain", "node2", "--force"))
        self.kubectl("drain", "node2", "--force", "--ignore-daemonsets", "--disable-eviction", "--timeout=30s")
        self.assertIn("not found", self.fails("get", "pod", "driven"))
        self.assertEqual(len(self.pods_of("app=daemon")), 2)
        self.kubectl("uncordon", "node2")
        self.kubectl("delete", "ds", "daemon")

    def test_a_stateful_set_keeps_names_and_data(self):
        self.apply_text(STATEFUL)
        self.kubectl("rollout", "status", "sts/store", "--timeout=60s")
        self.assertEqual([pod["metadata"]["name"] for pod in self.pods_of("app=store")], ["store-0", "store-1"])
        self.assertRegex(self.kubectl("get", "sts"), r"NAME +READY +AGE\nstore +2/2 ")
        self.assertEqual(self.kubectl("exec", "store-1", "--", "cat", "/data/name"), "store-1\n")
        self.kubectl("exec", "store-1", "--", "touch", "/data/kept")
        self.kubectl("delete", "pod", "store-1")
        self.kubectl("rollout", "status", "sts/store", "--timeout=60s")
        self.assertEqual(self.kubectl("exec", "store-1", "--", "ls", "/data"), "kept\nname\n")
        self.kubectl("set", "env", "sts/store", "VERSION=two")
        self.kubectl("rollout", "status", "sts/store", "--timeout=60s")
        self.assertEqual({pod["spec"]["containers"][0]["env"][0]["value"] for pod in self.pods_of("app=store")}, {"two"})
        self.assertRegex(self.kubectl("rollout", "history", "sts/store"), r"1 +<none>\n2 +<none>")
        self.kubectl("rollout", "undo", "sts/store", "--to-revision=1")
        self.kubectl("rollout", "status", "sts/store", "--timeout=60s")
        self.assertEqual({pod["spec"]["containers"][0]["env"][0]["value"] for pod in self.pods_of("app=store")}, {"one"})
        self.kubectl("scale", "sts/store", "--replicas=1")
        self.assertTrue(eventually(lambda: len(self.pods_of("app=store")) == 1))
        self.assertIn("data-store-1", self.kubectl("get", "pvc"))
        self.assertIn("updates to statefulset spec for fields other than",
                      self.fails("patch", "sts", "store", "-p", '{"spec":{"serviceName":"other"}}'))
        self.assertRegex(self.kubectl("describe", "sts", "store"), r"Update Strategy: +RollingUpdate")
        self.kubectl("delete", "sts", "store")


class Jobs120(Jobs, LabTestCase):
    version = "1.20"
    is_old = True


class Jobs132(Jobs, LabTestCase):
    version = "1.32"


class Jobs135(Jobs, LabTestCase):
    version = "1.35"


if __name__ == "__main__":
    unittest.main()
