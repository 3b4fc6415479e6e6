"""Pages in headless Chromium."""
import pathlib
import shutil
import struct
import subprocess
import typing
import zlib

MISSING = "needs chromium-headless-shell or chromium"
SCHEMES = {"dark": "0", "light": "1"}


class Shown(typing.NamedTuple):
    document: str     # the page's elements, when its program has run
    complaints: list  # lines of the console
    picture: bytes    # PNG


def find():
    """The browser's path, None when there is none."""
    return shutil.which("chromium-headless-shell") or shutil.which("chromium")


def show(program, page, scheme, folder, size=(1200, 900)):
    """A page, in a colour scheme, as the browser shows it; the folder takes its files."""
    picture = pathlib.Path(folder) / "picture.png"
    command = [program, "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={size[0]},{size[1]}",
               "--virtual-time-budget=3000", f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}",
               f"--user-data-dir={folder}/browser"]
    document = subprocess.run([*command, "--dump-dom", page.as_uri()], capture_output=True, text=True, check=True,
                              timeout=60).stdout
    done = subprocess.run([*command, "--enable-logging=stderr", f"--screenshot={picture}", page.as_uri()],
                          capture_output=True, text=True, check=True, timeout=60)
    return Shown(document, [line for line in done.stderr.splitlines() if ":CONSOLE" in line], picture.read_bytes())


def colors(png):
    """The different pixels of a PNG of 8 bits a channel, as Chromium writes it (RFC 2083)."""
    width, height, _, kind = struct.unpack(">IIBB", png[16:26])
    size, data, at = {2: 3, 6: 4}[kind], b"", 8
    while at < len(png):
        length, name = struct.unpack(">I4s", png[at:at + 8])
        data += png[at + 8:at + 8 + length] if name == b"IDAT" else b""
        at += length + 12
    data, found = zlib.decompress(data), set()
    above = bytes(width * size)
    for row in range(height):
        begin = row * (width * size + 1)
        line = bytearray(data[begin + 1:begin + 1 + width * size])
        for i in range(len(line)):
            left = line[i - size] if i >= size else 0
            corner = above[i - size] if i >= size else 0
            estimate = left + above[i] - corner
            paeth = min((left, above[i], corner), key=lambda value: abs(estimate - value))  # pylint: disable=cell-var-from-loop
            line[i] = line[i] + (0, left, above[i], (left + above[i]) // 2, paeth)[data[begin]] & 255
        above = bytes(line)
        if row % 8 == 0:
            found.update(above[i:i + size] for i in range(0, len(above), size))
    return found
