"""The commands that README.md and docs/ show, run as they stand there, page by page."""
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import tempfile
import unittest

from harness import PODLAB

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CLI = ROOT / "docs" / "cli"
NEEDS_DEMO = ("objects.md", "streams.md", "debug.md", "reach.md", "fault.md", "top.md", "scheduling.md", "troubleshooting.md")


def examples(page):
    """The commands of a page's code blocks; where a block shows output, only what follows a prompt."""
    commands = []
    for block in re.findall(r"^```\w*\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        lines = block.splitlines()
        prompts = [line[2:] for line in lines if line.startswith("$ ")]
        commands += [re.sub(r"\s+#.*", "", line).strip() for line in prompts or lines]
    return [command for command in commands if re.search(r"\bpodlab ", command)]


def goes_on(command):
    """Whether it ends by Ctrl-C only."""
    words = shlex.split(command)
    return ("-w" in words or "--watch" in words or "--watch-only" in words or ("logs" in words and "-f" in words) or "attach" in words
            or "port-forward" in words)


class Docs(unittest.TestCase):
    def setUp(self):
        self.state = pathlib.Path(tempfile.mkdtemp(prefix="podlab-docs-"))
        path = f"{PODLAB.parent}:{os.environ['PATH']}"
        self.environment = dict(os.environ, PODLAB_STATE_DIR=str(self.state), NO_COLOR="1", PATH=path, HOME=str(self.state))
        for name in ("PODLAB_NAME", "KUBECONFIG"):
            self.environment.pop(name, None)

    def tearDown(self):
        for name in ("default", "two"):
            self.run_command(f"podlab --name {name} down --purge")
        shutil.rmtree(self.state, ignore_errors=True)
        shutil.rmtree("/tmp/podlab-sim", ignore_errors=True)  # of an example, whose reader looks at it first

    def run_command(self, command, seconds=90):
        if goes_on(command):
            command = "timeout --signal INT 2 " + command
        elif "-it " in command:  # a terminal, and a user who leaves the shell
            command = f"script -qec {shlex.quote(command)} /dev/null <<< exit"
        return subprocess.run(["bash", "-c", command], cwd=ROOT, env=self.environment, capture_output=True, text=True,
                              check=False, timeout=seconds, stdin=subprocess.DEVNULL)

    def run_page(self, page):
        if page.name in NEEDS_DEMO:
            for command in ("podlab up", "podlab apply -f configs/demo.yaml",
                            "podlab wait pod --all -n demo --for condition=Ready --timeout 60s"):
                self.assertEqual(self.run_command(command).returncode, 0, command)
        commands = examples(page)
        self.assertGreater(len(commands), 2, page)
        for command in commands:
            with self.subTest(page=page.name, command=command):
                done = self.run_command(command)
                # timeout(1) tells by 124 that it had to interrupt.
                self.assertIn(done.returncode, (124, 130) if goes_on(command) else (0,), done.stdout + done.stderr)
                self.assertNotIn("rror:", done.stderr)

    def test_readme(self):
        self.run_page(ROOT / "README.md")

    def test_lab(self):
        self.run_page(CLI / "lab.md")

    def test_image(self):
        self.run_page(CLI / "image.md")

    def test_volumes(self):
        self.run_page(CLI / "volumes.md")

    def test_objects(self):
        self.run_page(CLI / "objects.md")

    def test_streams(self):
        self.run_page(CLI / "streams.md")

    def test_debug(self):
        self.run_page(CLI / "debug.md")

    def test_reach(self):
        self.run_page(CLI / "reach.md")

    def test_fault(self):
        self.run_page(CLI / "fault.md")

    def test_sim(self):
        self.run_page(CLI / "sim.md")

    def test_top(self):
        self.run_page(CLI / "top.md")

    def test_scheduling(self):
        self.run_page(CLI / "scheduling.md")

    def test_troubleshooting(self):
        self.run_page(ROOT / "docs" / "troubleshooting.md")

    def test_every_page_is_run(self):
        self.assertEqual({page.name for page in CLI.glob("*.md")} | {"troubleshooting.md"}, {"lab.md", "image.md", "sim.md", "volumes.md", *NEEDS_DEMO})

    def test_every_command_is_on_a_page(self):
        help_text = self.run_command("podlab --help").stdout
        commands = re.findall(r"^  ([a-z]+)  ", help_text.split("Subcommands:")[1], re.MULTILINE)
        text = "".join(page.read_text() for page in CLI.glob("*.md"))
        for command in commands:
            self.assertRegex(text, rf"`(podlab )?{command}\b", command)


if __name__ == "__main__":
    unittest.main()
