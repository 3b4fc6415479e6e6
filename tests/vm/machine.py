"""Machines of a test under qemu: real kernels, on an Ethernet switch that is the test's."""
import asyncio
import base64
import contextlib
import ctypes
import os
import pathlib
import shlex
import signal
import socket
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))

PR_SET_PDEATHSIG = 1
SWITCH_BUFFER = 1 << 20


class Switch:
    """Forwards Ethernet frames between its ports, in a thread of its own. A frame for a port whose machine is slow is lost."""

    def __init__(self):
        self.ports = set()
        self.owner = {}  # ports by MAC address
        started = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self.forward(started)), name="switch", daemon=True)
        self.thread.start()
        started.wait()

    async def forward(self, started):
        self.loop, self.ended = asyncio.get_running_loop(), asyncio.Event()
        started.set()
        await self.ended.wait()

    def end(self):
        self.loop.call_soon_threadsafe(self.ended.set)
        self.thread.join()

    def plug(self):
        """The machine's end of a new cable: a stream of frames, each with its length before it, as of qemu's netdev stream."""
        ours, theirs = socket.socketpair()
        asyncio.run_coroutine_threadsafe(self.serve(ours), self.loop)
        return theirs

    async def serve(self, cable):
        reader, port = await asyncio.open_connection(sock=cable)
        self.ports.add(port)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readexactly(4)
                frame = await reader.readexactly(int.from_bytes(head, "big"))
                self.owner[frame[6:12]] = port
                known = self.owner.get(frame[:6])
                for other in [known] if known in self.ports else self.ports - {port}:
                    if other is not port and other.transport.get_write_buffer_size() < SWITCH_BUFFER:
                        other.write(head + frame)
        self.ports.discard(port)
        port.close()


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Done:
    """What a program of a machine has left."""

    def __init__(self, line):
        code, out, err = line.rstrip("\n").split(" ")
        self.returncode = int(code)
        self.stdout, self.stderr = (base64.b64decode(text).decode(errors="replace") for text in (out, err))


class Machine:
    """Its eth0 has the same address and default route on every machine, as Vagrant's; eth1 is on the switch."""

    def __init__(self, image, switch, name, address, folder):
        self.image, self.switch, self.name, self.address = image, switch, name, address
        self.disk, self.console_log = folder / f"{name}.disk", folder / f"{name}.console"
        subprocess.run(["cp", "--sparse=always", image.disk, self.disk], check=True)
        self.process = None

    def start(self):
        """Powers it on; wait_until_up waits for it."""
        cable = self.switch.plug()
        ours, theirs = socket.socketpair()
        number = int(self.address.rpartition(".")[2])
        # Not KVM because it is there: nested, it may hang. The rate of an emulated TSC is found wrong when the host is busy.
        command = [
            "qemu-system-x86_64", "-accel", os.environ.get("PODLAB_VM_ACCEL", "tcg"), "-cpu", "Westmere,+rdrand", "-m", "768", "-smp", "1",
            "-nodefaults", "-no-user-config", "-display", "none",
            "-kernel", self.image.kernel, "-initrd", self.image.initramfs, "-append",
            f"console=ttyS0 quiet mitigations=off random.trust_cpu=on tsc=unstable address={self.address}/24 "
            f"systemd.hostname={self.name} systemd.machine_id={number:032x} systemd.show_status=no",
            "-chardev", f"file,id=console,path={self.console_log},append=on", "-serial", "chardev:console",
            "-drive", f"file={self.disk},if=virtio,format=raw,cache=unsafe",
            "-netdev", "user,id=nat,restrict=on", "-device", "virtio-net-pci,netdev=nat,romfile=,mac=52:54:00:00:00:01",
            "-netdev", f"stream,id=lan,server=off,addr.type=fd,addr.str={cable.fileno()}",
            "-device", f"virtio-net-pci,netdev=lan,romfile=,mac=52:54:00:00:01:{number:02x}",
            "-device", "virtio-serial-pci,max_ports=2", "-chardev", f"socket,id=control,fd={theirs.fileno()}",
            "-device", "virtserialport,chardev=control,nr=1"]
        with cable, theirs, self.console_log.open("ab") as console:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=console, stderr=console,
                                            pass_fds=(cable.fileno(), theirs.fileno()), preexec_fn=die_with_parent)
        self.control, self.answers = ours, ours.makefile("r")

    def receive(self, seconds):
        self.control.settimeout(seconds)
        try:
            line = self.answers.readline()
        except TimeoutError:
            line = ""
        if not line.endswith("\n"):
            raise AssertionError(f"{self.name} does not answer\n{self.console()}")
        return line

    def wait_until_up(self, seconds=120):
        while self.receive(seconds) != "ready\n":
            pass

    def kill(self):
        """As by a power failure."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.answers.close()
            self.control.close()
            self.process = None

    def reboot(self):
        """As its init does it; wait_until_up waits for it."""
        self.control.sendall(base64.b64encode(b"systemctl reboot") + b"\n")

    def console(self):
        return f"== console of {self.name}\n{self.console_log.read_text(errors='replace')[-5000:]}"

    def script(self, text, seconds=60):
        """Runs a shell script, one at a time."""
        bounded = f"exec timeout {seconds} /bin/sh -c {shlex.quote(text)}"
        self.control.settimeout(seconds)
        self.control.sendall(base64.b64encode(bounded.encode()) + b"\n")
        return Done(self.receive(seconds + 30))

    def try_run(self, *command, input="", seconds=60):
        words = " ".join(shlex.quote(str(word)) for word in command)
        return self.script(f"printf %s {shlex.quote(input)} | {words}" if input else words, seconds)

    def run(self, *command, **options):
        """Expects success, and returns stdout."""
        done = self.try_run(*command, **options)
        if done.returncode != 0:
            raise AssertionError(f"{self.name}: {' '.join(map(str, command))}: {done.returncode} {done.stderr}{done.stdout}")
        return done.stdout

    def podlab(self, *arguments, **options):
        return self.run("podlab", *arguments, **options)

    def enable(self, service, flags):
        """Starts a service of configs/machines now and at each boot; `flags` are for it."""
        variable = service.removeprefix("podlab-").upper() + "_FLAGS"
        self.run("tee", f"/etc/default/{service}", input=f'{variable}="{flags}"\n')
        self.run("systemctl", "enable", "--now", service)

    def disable(self, service):
        """Ends it, for good."""
        self.run("systemctl", "disable", "--now", service)
