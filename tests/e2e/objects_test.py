"""What the API says to those who apply manifests: warnings, refusals, the life of objects."""
import json
import unittest

from harness import LabTestCase, eventually

WITHOUT_EFFECT = """
apiVersion: v1
kind: Pod
metadata: {name: odd, labels: {round: "%s"}}
spec:
  setHostnameAsFQDN: true
  terminationGracePeriodSeconds: 1
  containers:
  - {name: one, image: host, command: [sleep, infinity]}
"""

REFUSED = """
apiVersion: v1
kind: Pod
metadata: {name: refused}
spec:
  hostUsers: false
  containers:
  - {name: one, image: host, command: [sleep, infinity]}
"""


class Objects(LabTestCase):
    up_arguments = ("-n", "1")

    def apply_text(self, text, *flags):
        done = self.run_podlab("apply", "-f", "-", *flags, input=text)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def events(self, name):
        listed = json.loads(self.podlab("get", "events", "-o", "json"))["items"]
        return [event for event in listed if event["involvedObject"]["name"] == name]

    def test_01_a_field_without_effect_is_warned_about_once_an_apply(self):
        for number, outcome in enumerate(("created", "configured")):
            done = self.apply_text(WITHOUT_EFFECT % number)
            self.assertEqual(done.stdout, f"pod/odd {outcome}\n")
            warnings = [line for line in done.stderr.splitlines() if line.startswith("Warning: ")]
            self.assertEqual(len(warnings), 1, done.stderr)
            self.assertIn("spec.setHostnameAsFQDN: has no effect", warnings[0])
        self.wait_ready("odd")

    def test_02_a_pod_that_needs_what_nodes_lack_says_so(self):
        done = self.apply_text(REFUSED)
        self.assertIn("Warning: spec.hostUsers: nodes refuse a pod with it", done.stderr)
        event = eventually(lambda: [e for e in self.events("refused") if e["reason"] == "Failed"])
        self.assertIn("spec.hostUsers", event[0]["message"])
        self.assertIn("CreateContainerConfigError", self.podlab("get", "pod", "refused"))
        self.podlab("delete", "pod", "refused")

    def test_03_events_come_in_the_order_of_what_happened(self):
        self.apply_text(WITHOUT_EFFECT % 2)
        self.wait_ready("odd")
        # The last one may still be on its way.
        reasons = eventually(lambda: (lambda got: "Started" in got and got)(
            [line.split()[2] for line in self.podlab("events", "--for", "pod/odd", "--no-headers").splitlines()]))
        self.assertEqual(reasons, ["Scheduled", "Pulled", "Created", "Started"])


if __name__ == "__main__":
    unittest.main()
