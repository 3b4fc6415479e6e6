"""Volumes and variables of real pods: what they hold, that they change, and what is kept."""
import json
import os
import pathlib
import unittest

from harness import DATA, LabTestCase, eventually


class Volumes(LabTestCase):
    up_arguments = ("-n", "2")

    def exec(self, container, script, pod="volumes"):
        return self.podlab("exec", pod, "-c", container, "--", "/bin/bash", "-c", script).strip()

    def reads(self, path, text):
        return eventually(lambda: self.exec("reader", f"cat {path}") == text)

    def create(self, text):
        self.podlab("apply", "-f", "-", input=text)

    def events(self, pod, reason):
        return [event["message"] for event in self.objects("events")
                if event["involvedObject"]["name"] == pod and event["reason"] == reason]

    def folders(self):
        return sorted(path.name for path in self.state.glob("*/volumes/*"))

    def test_01_volumes_hold_what_they_should(self):
        self.apply("volumes.yaml")
        self.wait_ready("volumes")
        self.assertTrue(self.reads("/shared/x", "from writer"))
        self.assertIn("Read-only", self.exec("reader", "touch /shared/y 2>&1 || true"))
        self.assertEqual(self.exec("reader", "cat /config/color /app.conf"), "bluelisten 80")
        self.assertEqual(self.exec("reader", "readlink /config/color"), "..data/color")
        self.assertIn("Read-only", self.exec("reader", "touch /config/y 2>&1 || true"))
        self.assertEqual(self.exec("reader", "cat /secret/token; stat -Lc ' %a' /secret/token; stat -fc %T /secret"),
                         "t0p 400\ntmpfs")
        self.assertEqual(self.exec("reader", "cat /pod/labels /pod/cpus"), 'tier="front"50')
        self.assertEqual(self.exec("reader", "cat /all/a/color /all/token"), "bluet0p")
        self.assertEqual(self.exec("reader", "ls /host | head -1"), sorted(os.listdir("/usr/share"))[0])
        self.assertEqual(self.exec("writer", "echo $COLOR $TOKEN $CPUS $CFG_color $GREETING ${NONE-unset}"),
                         "blue t0p 50 blue volumes is blue unset")

    def test_02_changes_reach_running_containers(self):
        inode = self.exec("reader", "stat -Lc %i /app.conf")
        manifest = (DATA / "volumes.yaml").read_text()
        for old, new in (("color: blue", "color: red"), ("app.conf: |\n    listen 80", 'new: "1"'), ("t0p", "t1"),
                         ("tier: front", "tier: back")):
            self.assertIn(old, manifest)
            manifest = manifest.replace(old, new)
        self.create(manifest)
        self.assertTrue(self.reads("/config/color", "red"))
        self.assertEqual(self.exec("reader", "ls /config"), "color\nnew")
        self.assertTrue(self.reads("/secret/token", "t1"))
        self.assertTrue(self.reads("/all/a/color", "red"))
        self.assertTrue(self.reads("/pod/labels", 'tier="back"'))
        # A subPath is what it was when the container started, and so are variables.
        self.assertEqual(self.exec("reader", "stat -Lc %i /app.conf; cat /app.conf"), f"{inode}\nlisten 80")
        self.assertEqual(self.exec("writer", "echo $COLOR"), "blue")
        pod = json.loads(self.podlab("get", "pod", "volumes", "-o", "json"))
        self.assertEqual([status["restartCount"] for status in pod["status"]["containerStatuses"]], [0, 0])

    def test_03_a_claim_keeps_its_files_over_pods_and_labs_and_takes_them_along(self):
        claim = json.loads(self.podlab("get", "pvc", "disk", "-o", "json"))
        self.assertEqual((claim["status"]["phase"], claim["spec"]["storageClassName"]), ("Bound", "local"))
        self.assertRegex(self.podlab("get", "pvc"), r"disk +Bound +pvc-\S+ +1Gi +RWO +local +<unset>")
        self.assertRegex(self.podlab("get", "sc"), r"local \(default\) +podlab.io/local +Delete +Immediate +false")
        self.exec("writer", "echo kept > /disk/x")
        self.assertEqual(self.exec("reader", "cat /disk/of-volumes/x"), "kept")
        # Protected while it is used.
        self.podlab("delete", "pod", "volumes")
        self.podlab("down")
        self.podlab("up")
        self.apply("volumes.yaml")
        self.wait_ready("volumes")
        self.assertEqual(self.exec("writer", "cat /disk/x"), "kept")
        self.assertEqual(self.folders(), [claim["spec"]["volumeName"]])
        self.podlab("delete", "pvc", "disk", "--wait=false")
        self.assertIn("Terminating", self.podlab("get", "pvc", "disk"))
        self.assertEqual(self.exec("writer", "cat /disk/x"), "kept")
        self.podlab("delete", "pod", "volumes")
        self.assertTrue(eventually(lambda: not self.objects("pvc") and not self.objects("pv") and not self.folders()),
                        (self.objects("pvc"), self.objects("pv"), self.folders()))

    def test_04_a_pod_waits_for_what_it_needs(self):
        self.create("""{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "waits"}, "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "main", "image": "host", "command": ["/bin/sleep", "infinity"],
                            "env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "later", "key": "a"}}}],
                            "volumeMounts": [{"name": "v", "mountPath": "/v"}]}],
            "volumes": [{"name": "v", "secret": {"secretName": "later"}}]}}""")
        self.assertTrue(eventually(lambda: self.events("waits", "FailedMount")))
        self.assertEqual(self.events("waits", "FailedMount"),
                         ['MountVolume.SetUp failed for volume "v" : secret "later" not found'])
        self.create('{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "later"}, "stringData": {"a": "1"}}')
        self.assertTrue(eventually(lambda: "CreateContainerConfigError" in self.podlab("get", "pod", "waits")))
        self.assertEqual(self.events("waits", "Failed"), ['Error: configmap "later" not found'])
        self.create('{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "later"}, "data": {"a": "1"}}')
        self.wait_ready("waits")
        self.podlab("delete", "pod", "waits")

    def test_05_a_pod_that_writes_too_much_is_evicted(self):
        self.create("""{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "writes"}, "spec": {
            "containers": [{"name": "main", "image": "host",
                            "command": ["/bin/bash", "-c", "head -c 3M /dev/zero > /v/x; sleep infinity"],
                            "volumeMounts": [{"name": "v", "mountPath": "/v"}]}],
            "volumes": [{"name": "v", "emptyDir": {"sizeLimit": "1Mi"}}]}}""")
        status = eventually(lambda: self.phase("writes").get("phase") == "Failed" and self.phase("writes"), 60)
        self.assertEqual((status["reason"], status["message"]),
                         ("Evicted", 'Usage of EmptyDir volume "v" exceeds the limit "1Mi". '))
        self.podlab("delete", "pod", "writes")

    def test_06_a_subpath_does_not_lead_out_of_its_volume(self):
        self.create("""{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "escapes"}, "spec": {
            "terminationGracePeriodSeconds": 0,
            "initContainers": [{"name": "links", "image": "host", "command": ["/bin/ln", "-s", "/etc", "/v/out"],
                                "volumeMounts": [{"name": "v", "mountPath": "/v"}]}],
            "containers": [{"name": "main", "image": "host", "command": ["/bin/sleep", "infinity"],
                            "volumeMounts": [{"name": "v", "mountPath": "/p", "subPath": "out"}]}],
            "volumes": [{"name": "v", "emptyDir": {}}]}}""")
        self.assertTrue(eventually(lambda: any("leads out of the volume" in message
                                               for message in self.events("escapes", "Failed"))))
        self.podlab("delete", "pod", "escapes")

    def test_07_mounts_propagate_as_they_are_asked_to(self):
        def mounts(name, mode, **more):
            return {"name": name, "image": "host", "command": ["/bin/sleep", "infinity"], **more,
                    "volumeMounts": [{"name": "v", "mountPath": "/v", "mountPropagation": mode}]}

        self.create(json.dumps({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "mounts"}, "spec": {
                "terminationGracePeriodSeconds": 0, "volumes": [{"name": "v", "emptyDir": {}}],
                "containers": [mounts("gives", "Bidirectional", securityContext={"privileged": True}),
                               mounts("takes", "HostToContainer"), mounts("closed", "None")]}}))
        self.wait_ready("mounts")
        self.exec("gives", "mkdir /v/in && mount -t tmpfs none /v/in && echo seen > /v/in/x", "mounts")
        self.assertEqual(self.exec("takes", "cat /v/in/x", "mounts"), "seen")
        self.assertEqual(self.exec("closed", "ls /v/in", "mounts"), "")
        (folder,) = self.state.glob("*/nodes/*/pods/*/volumes/v")
        self.assertEqual(list((folder / "in").iterdir()), [])  # the machine sees nothing of it
        self.exec("gives", "umount /v/in && mount -t tmpfs none /v/in", "mounts")
        self.assertEqual(self.exec("takes", "ls /v/in", "mounts"), "")
        self.podlab("delete", "pod", "mounts")

    def test_08_a_volume_for_one_pod_waits_for_the_other_to_go(self):
        self.create("""{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "single"}, "spec": {
            "accessModes": ["ReadWriteOncePod"], "resources": {"requests": {"storage": "1Mi"}}}}""")
        for name in ("has", "wants"):
            self.create("""{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "%s"}, "spec": {
                "terminationGracePeriodSeconds": 0,
                "containers": [{"name": "main", "image": "host", "command": ["/bin/sleep", "infinity"],
                                "volumeMounts": [{"name": "v", "mountPath": "/v"}]}],
                "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "single"}}]}}""" % name)
            if name == "has":
                self.wait_ready("has")
        self.assertTrue(eventually(lambda: self.events("wants", "FailedScheduling")))
        self.assertEqual(self.events("wants", "FailedScheduling"),
                         ["0/2 nodes are available: 2 node has pod using PersistentVolumeClaim with the same name and "
                          "ReadWriteOncePod access mode. preemption: 0/2 nodes are available: 2 No preemption victims "
                          "found for incoming pod."])
        self.assertRegex(self.podlab("explain-placement", "wants"),
                         r"\nnode\d +VolumeRestrictions +node has pod using .* +without default/has\n")
        self.podlab("delete", "pod", "has")
        self.wait_ready("wants")
        self.podlab("delete", "pod", "wants")
        self.podlab("delete", "pvc", "single")

    def test_08_the_scheduler_chooses_among_the_nodes_with_a_volume(self):
        self.create(json.dumps({"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "disks"},
             "provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "WaitForFirstConsumer"},
            {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "of-node2"}, "spec": {
                "accessModes": ["ReadOnlyMany"], "capacity": {"storage": "1Gi"}, "storageClassName": "disks",
                "local": {"path": "/usr/share"}, "nodeAffinity": {"required": {"nodeSelectorTerms": [{
                    "matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["node2"]}]}]}}}},
            {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "there"}, "spec": {
                "accessModes": ["ReadOnlyMany"], "resources": {"requests": {"storage": "1Mi"}},
                "storageClassName": "disks"}}]}))
        self.assertTrue(eventually(lambda: self.events("there", "WaitForFirstConsumer")))
        self.create("""{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "goes"}, "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "main", "image": "host", "command": ["/bin/sleep", "infinity"],
                            "volumeMounts": [{"name": "v", "mountPath": "/v"}]}],
            "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "there", "readOnly": true}}]}}""")
        self.wait_ready("goes")
        pod = json.loads(self.podlab("get", "pod", "goes", "-o", "json"))
        self.assertEqual(pod["spec"]["nodeName"], "node2")
        explained = json.loads(self.podlab("explain-placement", "goes", "-o", "json"))
        self.assertEqual([(node["node"], [no["filter"] for no in node.get("rejections", ())]) for node in explained["nodes"]],
                         [("node2", []), ("node1", ["VolumeBinding"])])
        self.assertEqual(self.exec("main", "touch /v/x 2>&1 | grep -o 'Read-only'", "goes"), "Read-only")
        self.podlab("delete", "pod", "goes")
        self.podlab("delete", "pvc", "there")
        self.podlab("delete", "pv", "of-node2")
        self.podlab("delete", "sc", "disks")

    def test_09_nothing_is_left_of_them(self):
        def left():
            agents = [agent for node in ("node1", "node2") for agent in self.processes("agent", "--node-name", node)]
            mounts = [line for agent in agents for line in pathlib.Path(f"/proc/{agent}/mountinfo").read_text().splitlines()
                      if "/run/pods/" in line]
            return mounts + [str(path) for path in self.state.glob("*/nodes/*/pods/*/volumes")]

        # A pod without grace is gone at the server before its node has removed it.
        self.assertTrue(eventually(lambda: not left()), left())

    def phase(self, pod):
        return json.loads(self.podlab("get", "pod", pod, "-o", "json"))["status"]


class RootlessVolumes(Volumes):
    """The same as an ordinary user."""
    user = 54321


if __name__ == "__main__":
    unittest.main()
