"""podlab sim as a user meets it."""
import csv
import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

import browser
from harness import PODLAB

SCENARIO = """
apiVersion: podlab.io/v1alpha1
kind: Scenario
seed: 7
duration: 30m
nodes: [{name: node, count: 4, cpu: 4, memory: 8Gi, zones: [a, b]}]
workloads:
- {name: web, kind: Deployment, every: 1m, limit: 2, replicas: 3, shapes: [{cpu: 250m, memory: 256Mi}]}
- {name: batch, every: {exponential: 20s}, lifetime: {lognormal: {median: 1m, sigma: 1}}, shapes: [{cpu: 100m, memory: 128Mi}]}
faults: {timeline: [{kind: node-kill, at: 5m, nodes: node1, for: 10m}]}
"""


class Sim(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="podlab-sim-")))
        self.scenario = self.folder / "scenario.yaml"
        self.scenario.write_text(SCENARIO)

    def sim(self, *arguments, **options):
        return subprocess.run([PODLAB, "sim", *map(str, arguments)], capture_output=True, text=True, timeout=120,
                              env=dict(os.environ, NO_COLOR="1"), check=False, **options)

    def output(self, *arguments, **options):
        done = self.sim(*arguments, **options)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def test_the_same_seed_gives_the_same_bytes(self):
        first = self.output(self.scenario, "-o", "json")
        self.assertEqual(self.output(self.scenario, "-o", "json"), first)
        other = json.loads(self.output(self.scenario, "-o", "json", "--seed", 8))
        self.assertEqual(json.loads(first)["seed"], 7)
        self.assertNotEqual(other["placementHash"], json.loads(first)["placementHash"])

    def test_all_outputs_tell_of_the_same_run(self):
        page = self.folder / "report.html"
        found = json.loads(self.output(self.scenario, "-o", "json", "--csv", self.folder / "made" / "here", "--html", page))
        with open(self.folder / "made" / "here" / "series.csv", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual(len(rows), len(found["samples"]))
        self.assertGreaterEqual(len(rows), 29)
        self.assertEqual([int(row["pods_running"]) for row in rows], [sample["podsRunning"] for sample in found["samples"]])
        self.assertIn(str(found["pods"]["created"]), self.output(self.scenario).replace(",", ""))
        self.assertNotRegex(page.read_text(), r"(src|href)=|https?://(?!www\.w3\.org/)")

    def test_the_report_shows_in_a_browser(self):
        program = browser.find()
        if not program:
            self.skipTest(browser.MISSING)
        page = self.folder / "report.html"
        self.output(self.scenario, "--html", page)
        for scheme in browser.SCHEMES:
            with self.subTest(scheme):
                shown = browser.show(program, page, scheme, self.folder)
                titles = re.findall("<h2>([^<]*)</h2>.*\n<svg", shown.document)
                for plot in ("Utilisation", "Pods", "From creation to start", "Fragmentation", "Pods evicted", "Nodes"):
                    self.assertTrue(any(title.startswith(plot) for title in titles), (plot, titles))
                self.assertEqual(shown.complaints, [])
                self.assertGreater(len(browser.colors(shown.picture)), 20)

    def test_it_ends_when_it_is_told(self):
        found = json.loads(self.output("-", "-o", "json", "--until", "10m", input=SCENARIO))
        self.assertIn(len(found["samples"]), (9, 10))
        self.assertAlmostEqual(found["samples"][-1]["seconds"], 60 * len(found["samples"]), delta=1)

    def test_invariants_are_checked(self):
        self.assertIn("INVARIANTS", self.output(self.scenario, "--check"))

    def test_wrong_usage_is_told(self):
        self.scenario.write_text(SCENARIO.replace("count: 4", "count: -4"))
        for arguments, code, message in (
                ((self.scenario,), 1, "nodes[0].count"),
                ((self.folder / "none.yaml",), 1, "none.yaml: No such file"),
                ((self.folder,), 1, "Is a directory"),
                ((self.scenario, "--until", "never"), 2, '--until: "never" is not a duration'),
                ((self.scenario, "--seed", "x"), 2, "--seed"),
                ((), 2, "SCENARIO is required: a file, or - for stdin")):
            with self.subTest(arguments):
                done = self.sim(*arguments)
                self.assertEqual(done.returncode, code, done.stderr)
                self.assertIn(message, done.stderr)
                self.assertEqual(done.stdout, "")

    def test_what_cannot_be_written_is_told(self):
        done = self.sim(self.scenario, "--html", self.folder / "no" / "report.html")
        self.assertEqual(done.returncode, 1)
        self.assertIn("report.html: No such file", done.stderr)


if __name__ == "__main__":
    unittest.main()
