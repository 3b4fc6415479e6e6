"""The manifests of a course's chapters on pods and on what makes them, as they stand: tests/data/course/NAME.yaml, with what must be seen in NAME.see.

A line "$ ARGUMENTS" is a podlab command; each line below it must be in what it prints, sooner or later.
"""
import pathlib
import shlex
import unittest

from harness import LabTestCase, eventually

COURSE = pathlib.Path(__file__).resolve().parent.parent / "data" / "course"

# Registry images in miniature. What is not here is stood in.
BUSYBOX = ("busybox:1.24", "busybox:1.27.2", "busybox:1.28", "debian")


def expectations(text):
    """[(command, lines)]"""
    found = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif line:
            found[-1][1].append(line)
    return found


class Course(LabTestCase):
    cluster = """
apiVersion: podlab.io/v1alpha1
kind: Cluster
images: {missing: stand-in}
nodes:
  - name: node1
  - name: node2
    labels: {disktype: ssd}
  - name: node3
"""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for name in BUSYBOX:
            cls.build(name, "--package", "busybox-static", "--file", "/usr/bin/printenv", "--cmd", "sh")
        cls.build("nginx", "--package", "busybox-static", "--expose", "80",
                  "--file", f"{COURSE}/index.html:/usr/share/nginx/html/index.html",
                  "--cmd", "httpd -f -p 80 -h /usr/share/nginx/html")
        cls.build("polinux/stress", "--package", "stress")

    @classmethod
    def build(cls, name, *arguments):
        done = cls.run_podlab("image", "build-rootfs", name, *arguments)
        if done.returncode != 0:
            cls.tearDownClass()
            raise AssertionError(f"image {name}: {done.stderr}")

    def test_what_must_be_seen(self):
        manifests = sorted(COURSE.glob("*.yaml"))
        self.assertTrue(manifests)
        for manifest in manifests:
            self.podlab("apply", "-f", str(manifest))
        for manifest in manifests:
            for command, lines in expectations(manifest.with_suffix(".see").read_text()):
                with self.subTest(manifest.stem, command=command):
                    self.see(command, lines)
        self.podlab("delete", "cronjobs,jobs,daemonsets,statefulsets,deployments,replicasets,replicationcontrollers", "--all",
                    "--ignore-not-found")  # what has an owner goes with it
        self.podlab("delete", "pods", "--all", "--ignore-not-found")

    def see(self, command, lines):
        def output():
            done = self.run_podlab(*shlex.split(command))
            return done.stdout + done.stderr

        def missing():
            text = output()
            return [line for line in lines if line not in text]

        if not eventually(lambda: not missing(), 60):
            self.fail(f"missing {missing()} in:\n{output()}")


if __name__ == "__main__":
    unittest.main()
