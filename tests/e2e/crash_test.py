"""The server is killed again and again while clients write: what it has acknowledged is there."""
import http.client
import json
import os
import random
import signal
import threading
import time
import unittest

from harness import LabTestCase, eventually
from rest_client import RestClient, RestError

SEED = int(os.environ.get("PODLAB_SEED", "20261125"))
ROUNDS = 50
WRITES = 1000  # at least, in all rounds
WRITERS = 3
LOST = (OSError, http.client.HTTPException, ValueError)

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


def deployment(name):
    labels = {"app": name}
    container = {"name": "main", "image": "host", "command": ["sleep", "infinity"]}
    template = {"metadata": {"labels": labels}, "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
            "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}}


class Writer(threading.Thread):
    """Writes objects that nobody else writes, and knows what each may be."""

    def __init__(self, client, number, newest):
        super().__init__()
        self.client = client
        self.chance = random.Random(f"{SEED} {number}")
        self.newest = newest  # the greatest revision that anybody was answered, in a list
        self.prefix = f"w{number}-"
        self.maps = {}  # name: the values it may have; None: not there
        self.rolls = {f"d{number}": {"0"}}  # name: the versions that its template may have
        self.acknowledged = 0
        self.faults = []
        self.over = False

    def run(self):
        while not self.over:
            try:
                self.step()
            except LOST:
                time.sleep(0.02)
            except RestError as error:
                if error.code not in (429, 500, 503, 504):
                    self.faults.append(f"{error.code} {error}")

    def write(self, possible, wanted, *request):
        """`possible` is the set of what the object may be; `wanted` what it is after this write."""
        before = self.newest[0]
        possible.add(wanted)
        try:
            answer = self.client.call(*request)
        except RestError as error:
            # The answer to an earlier write was lost: now it is known what came of it.
            if error.reason == "NotFound" and None in possible:
                possible.clear()
                possible.add(None)
                return
            raise
        possible.clear()
        possible.add(wanted)
        self.acknowledged += 1
        if request[0] == "DELETE":
            return
        revision = int(answer["metadata"]["resourceVersion"])
        if revision <= before and request[0] == "POST":
            self.faults.append(f"revision {revision} of {request[:2]} after {before} had been answered")
        self.newest[0] = max(self.newest[0], revision)

    def step(self):
        draw = self.chance.random()
        name = f"{self.prefix}{self.chance.randrange(12)}"
        possible = self.maps.setdefault(name, {None})
        value = str(self.chance.randrange(1 << 30))
        body = {"metadata": {"name": name}, "data": {"value": value}}
        if draw < 0.1:
            (roll, versions), = self.rolls.items()
            patch = {"spec": {"template": {"metadata": {"annotations": {"version": value}}}}}
            self.write(versions, value, "PATCH", f"{DEPLOYMENTS}/{roll}", patch, "application/merge-patch+json")
        elif draw < 0.25:
            self.write(possible, None, "DELETE", f"{CONFIG_MAPS}/{name}")
        elif possible == {None}:
            self.write(possible, value, "POST", CONFIG_MAPS, body)
        elif draw < 0.6:
            self.write(possible, value, "PUT", f"{CONFIG_MAPS}/{name}", body)
        else:
            patch = {"data": {"value": value}}
            self.write(possible, value, "PATCH", f"{CONFIG_MAPS}/{name}", patch, "application/merge-patch+json")


class Watcher(threading.Thread):
    """Follows the ConfigMaps as an informer does; what it knows must be what is there."""

    def __init__(self, client):
        super().__init__()
        self.client = client
        self.known = {}
        self.revision = None
        self.faults = []
        self.resumed = self.relisted = 0
        self.over = False

    def run(self):
        while not self.over:
            try:
                if self.revision is None:
                    listed = self.client.call("GET", CONFIG_MAPS)
                    self.known = {each["metadata"]["name"]: each for each in listed["items"]}
                    self.revision = listed["metadata"]["resourceVersion"]
                    self.relisted += 1
                self.follow()
                self.resumed += 1
            except LOST:
                time.sleep(0.02)
            except RestError as error:
                self.gone(error.code)

    def gone(self, code):
        if code == 410:
            self.revision = None

    def follow(self):
        query = f"?watch=true&allowWatchBookmarks=true&timeoutSeconds=2&resourceVersion={self.revision}"
        for event in self.client.watch(CONFIG_MAPS + query):
            if event["type"] == "ERROR":
                return self.gone(event["object"].get("code"))
            metadata = event["object"]["metadata"]
            if int(metadata["resourceVersion"]) < int(self.revision):
                self.faults.append(f"revision {metadata['resourceVersion']} after {self.revision}")
            self.revision = metadata["resourceVersion"]
            if event["type"] == "DELETED":
                self.known.pop(metadata["name"], None)
            elif event["type"] != "BOOKMARK":
                self.known[metadata["name"]] = event["object"]


class CrashTest(LabTestCase):
    up_arguments = ("-n", "2")

    def client(self, name):
        folder = self.state / name
        folder.mkdir()
        return RestClient(self.podlab("kubeconfig"), folder)

    def test_what_was_acknowledged_survives_kills_of_the_server(self):
        chance = random.Random(SEED)
        client = self.client("judge")
        self.addCleanup(client.close)
        for number in range(WRITERS):
            client.call("POST", DEPLOYMENTS, deployment(f"d{number}"))
        newest = [0]
        writers = [Writer(self.client(f"writer{number}"), number, newest) for number in range(WRITERS)]
        watcher = Watcher(self.client("watcher"))
        everybody = [*writers, watcher]
        for each in everybody:
            each.start()
        try:
            for _ in range(ROUNDS):
                before = sum(writer.acknowledged for writer in writers)
                # Some kills come at once, most of them in the middle of many writes.
                wanted = before + chance.choice((0, 1, 5, WRITES // ROUNDS, 2 * WRITES // ROUNDS))
                self.assertTrue(eventually(lambda wanted=wanted: sum(each.acknowledged for each in writers) >= wanted, seconds=60),
                                f"seed {SEED}: nothing is written any more: {[each.faults for each in writers]}")
                time.sleep(chance.random() * 0.02)
                (server,) = eventually(lambda: self.processes("server"))
                os.kill(server, signal.SIGKILL)
            wanted = max(WRITES, sum(writer.acknowledged for writer in writers) + 1)
            self.assertTrue(eventually(lambda: sum(each.acknowledged for each in writers) >= wanted, seconds=60))
        finally:
            for each in everybody:
                each.over = True
            for each in everybody:
                each.join()
                each.client.close()
        for each in everybody:
            self.assertEqual(each.faults, [], f"seed {SEED}")
        client.close()  # its server is long gone
        self.judge(client, writers, watcher)

    def judge(self, client, writers, watcher):
        listed = client.call("GET", CONFIG_MAPS)["items"]
        values = {each["metadata"]["name"]: each["data"]["value"] for each in listed if each["metadata"]["name"].startswith("w")}
        for writer in writers:
            for name, possible in writer.maps.items():
                self.assertIn(values.get(name), possible, f"seed {SEED}: {name}")
        # The watch goes on from where it was, and ends with what is there.
        watcher.over = False
        if watcher.revision is None:
            watcher.revision = "0"
        watcher.follow()
        self.assertEqual({name: each["metadata"]["resourceVersion"] for name, each in watcher.known.items()},
                         {each["metadata"]["name"]: each["metadata"]["resourceVersion"] for each in listed}, f"seed {SEED}")

        def converged():
            for writer in writers:
                ((name, versions),) = writer.rolls.items()
                one = client.call("GET", f"{DEPLOYMENTS}/{name}")
                status = one["status"]
                annotations = one["spec"]["template"]["metadata"].get("annotations", {})
                if annotations.get("version", "0") not in versions:
                    self.fail(f"seed {SEED}: {name} has version {annotations} of {versions}")
                counts = [status.get(key) for key in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")]
                if counts != [2] * 4 or status.get("observedGeneration") != one["metadata"]["generation"]:
                    return False
            pods = json.loads(self.podlab("get", "pods", "-o", "json"))["items"]
            return len(pods) == 2 * WRITERS and all(pod["status"]["phase"] == "Running" for pod in pods)

        self.assertTrue(eventually(converged, seconds=90), f"seed {SEED}: {self.podlab('get', 'pods,rs,deployments')}")


if __name__ == "__main__":
    unittest.main()
