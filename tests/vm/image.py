"""What the machines of a test boot: a kernel, an initramfs and the image of a disk, made of the host's own programs."""
import os
import pathlib
import re
import shutil
import subprocess

SOURCE = pathlib.Path(__file__).resolve().parents[2]
HERE = SOURCE / "tests" / "vm"
SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PROGRAMS = ("bash", "crun", "dash", "ip", "modprobe", "nft", "ssh", "sshd", "systemctl", "tc")
SYSTEMD = ("systemd", "systemd-shutdown")  # without udev, journal and all else
# Names, or how they begin. The disk's are loaded by the initramfs, others when the kernel is asked for what they do.
DISK_MODULES = ("virtio_pci", "virtio_blk")
MODULES = (*DISK_MODULES, "virtio_net", "virtio_console", "bridge", "veth", "vxlan", "overlay", "nf_tables", "nft_", "nf_", "sch_netem",
           "sch_prio", "sch_tbf", "cls_u32", "dummy", "tun", "nfnetlink")
DISK_MEGABYTES = 2048


def find(program):
    path = shutil.which(program, path=SEARCH)
    if path is None:
        raise AssertionError(f"{program} is missing on this host: scripts/packages run test")
    return path


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, timeout=120, **options)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: {done.stderr}{done.stdout}")
    return done.stdout


def cpio(folder):
    """An archive in cpio's format newc, as the kernel reads it (Documentation/driver-api/early-userspace/buffer-format.rst)."""
    data = bytearray()

    def add(name, mode, content=b""):
        fields = [0, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0]
        data.extend(b"070701" + "".join(f"{field:08x}" for field in fields).encode() + name.encode() + b"\0")
        data.extend(bytes(-len(data) % 4) + content)
        data.extend(bytes(-len(data) % 4))

    for path in sorted(folder.rglob("*")):
        add(str(path.relative_to(folder)), path.stat().st_mode, b"" if path.is_dir() else path.read_bytes())
    add("TRAILER!!!", 0)
    return bytes(data)


class Tree:
    """A root file system in the making, in which /bin, /lib and /sbin are in /usr."""

    def __init__(self, root, parts):
        self.root, self.parts = root, parts
        for folder in ("dev", "etc/default", "proc", "root", "run", "sys", "tmp", "var/log", "var/lib", "var/empty", "home",
                       "usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "usr/share"):
            (root / folder).mkdir(parents=True)
        for name in ("bin", "sbin", "lib", "lib64"):
            (root / name).symlink_to(f"usr/{name}")
        (root / "var/run").symlink_to("/run")

    def add(self, path, target=None):
        """A program of the host with its libraries."""
        told = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
        missing = re.findall(r"(\S+) => not found", told)
        if missing:
            raise AssertionError(f"{path} needs {missing}: scripts/packages test")
        for source in (path, *re.findall(r"(/\S+) \(0x", told)):
            source = pathlib.Path(source)
            copy = self.root / (target or os.path.realpath(source.parent).lstrip("/") + "/" + source.name)
            target = None
            if not copy.exists():
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, copy)

    def add_busybox(self):
        """All else that is a program."""
        busybox = find("busybox")
        shutil.copy(busybox, self.root / "usr/bin/busybox")
        (self.root / "usr/bin/sh").symlink_to("dash")
        for applet in run(busybox, "--list").split():
            if not any(os.path.lexists(self.root / folder / applet) for folder in ("usr/bin", "usr/sbin")):
                (self.root / "usr/bin" / applet).symlink_to("busybox")

    def add_systemd(self):
        for program in SYSTEMD:
            self.add(f"/lib/systemd/{program}")
        (self.root / "usr/sbin/init").symlink_to("/lib/systemd/systemd")
        units = self.root / "usr/lib/systemd/system"
        units.mkdir()
        for unit in (*pathlib.Path("/lib/systemd/system").glob("*.target"), "/lib/systemd/system/systemd-reboot.service"):
            shutil.copy(unit, units)
        (units / "default.target").unlink(missing_ok=True)
        (units / "default.target").symlink_to("multi-user.target")

    def add_modules(self):
        """The modules with those that they need, and with what finds them."""
        (base,) = (self.parts / "lib/modules").iterdir()
        needs = {}
        for line in (base / "modules.dep").read_text().splitlines():
            path, _, others = line.partition(":")
            needs[path] = others.split()
        target = self.root / "usr/lib/modules" / base.name
        for path in needs:
            if pathlib.Path(path).name.startswith(MODULES):
                for module in (path, *needs[path]):
                    (target / module).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(base / module, target / module)
        for index in base.glob("modules.*"):
            shutil.copy(index, target)
        # Without their signatures, whose verification takes most of the time to load them.
        run("strip", "--strip-debug", *target.rglob("*.ko"))
        return target, needs


def make_initramfs(folder, base, needs):
    modules = folder / "modules"
    for name in ("dev", "disk", "modules"):
        (folder / name).mkdir(parents=True)
    order = []
    for wanted in DISK_MODULES:
        (path,) = (path for path in needs if pathlib.Path(path).name == f"{wanted}.ko")
        # modules.dep has what is needed first, last.
        order += [module for module in (*reversed(needs[path]), path) if module not in order]
    for module in order:
        shutil.copy(base / module, modules)
    (modules / "order").write_text("".join(f"{pathlib.Path(module).name}\n" for module in order))
    shutil.copy(find("busybox"), folder / "busybox")
    shutil.copy(HERE / "initramfs-init", folder / "init")
    return cpio(folder)


def make_keys(root):
    """root of each machine may log in at all, and knows them."""
    (root / "root/.ssh").mkdir(mode=0o700)
    for name in ("etc/ssh/ssh_host_ed25519_key", "root/.ssh/id_ed25519"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", root / name)
    shutil.copy(root / "root/.ssh/id_ed25519.pub", root / "root/.ssh/authorized_keys")
    (root / "root/.ssh/known_hosts").write_text("192.168.56.* " + (root / "etc/ssh/ssh_host_ed25519_key.pub").read_text())


class Image:
    """Files in `folder`: kernel, initramfs, disk (a file system, to be copied for each machine)."""

    def __init__(self, folder, podlab):
        parts = pathlib.Path(run(SOURCE / "scripts/vm-parts").strip())
        self.kernel, self.initramfs, self.disk = parts / "vmlinuz", folder / "initramfs", folder / "disk"
        root = folder / "root"
        tree = Tree(root, parts)
        tree.add(podlab, "usr/bin/podlab")
        run("strip", root / "usr/bin/podlab")
        for program in PROGRAMS:
            tree.add(find(program))
        tree.add_systemd()
        tree.add_busybox()
        base, needs = tree.add_modules()
        for unit in (SOURCE / "configs/machines").glob("*.service"):
            shutil.copy(unit, root / "lib/systemd/system")
        shutil.copytree(HERE / "root", root, dirs_exist_ok=True)
        run("systemctl", "--root", root, "enable", *(unit.name for unit in (HERE / "root/etc/systemd/system").iterdir()))
        make_keys(root)
        self.initramfs.write_bytes(make_initramfs(folder / "early", base, needs))
        run("/sbin/mke2fs", "-q", "-t", "ext4", "-d", root, self.disk, f"{DISK_MEGABYTES}M")
        shutil.rmtree(root)
