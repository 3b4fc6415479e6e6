"""The REST API's socket, as hostile, slow and many clients use it."""
import http.client
import json
import os
import pathlib
import re
import socket
import ssl
import subprocess
import unittest

from harness import LabTestCase, eventually, is_sanitized
from rest_client import keep_credentials

WATCHES = 500


class RestTest(LabTestCase):
    up_arguments = ("-n", "1")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = cls.state / "client"
        cls.folder.mkdir()
        cls.host, cls.port = keep_credentials(cls.run_podlab("kubeconfig").stdout, cls.folder)
        (cls.lab,) = [path.parent for path in cls.state.glob("*/pki")]

    def context(self, certificate="admin"):
        context = ssl.create_default_context(cafile=self.folder / "ca.crt")
        if certificate:
            context.load_cert_chain(self.folder / f"{certificate}.crt", self.folder / f"{certificate}.key")
        return context

    def connect(self, certificate="admin"):
        plain = socket.create_connection((self.host, self.port), timeout=30)
        stream = self.context(certificate).wrap_socket(plain, server_hostname=self.host)
        self.addCleanup(stream.close)
        return stream

    def exchange(self, request):
        """All that comes back for these bytes."""
        stream = self.connect()
        stream.sendall(request)
        answer = b""
        try:
            while piece := stream.recv(1 << 16):
                answer += piece
        except (ConnectionResetError, ssl.SSLEOFError):
            pass
        return answer.decode()

    def get(self, path):
        connection = http.client.HTTPSConnection(self.host, self.port, context=self.context(), timeout=30)
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, body

    def server_files(self):
        (server,) = self.processes("server")
        return len(os.listdir(f"/proc/{server}/fd"))

    def server_memory(self):
        """Resident kilobytes."""
        (server,) = self.processes("server")
        return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{server}/status").read_text()).group(1))

    def test_what_could_be_read_in_two_ways_is_refused(self):
        post = "POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nHost: x\r\n"
        hidden = "GET /api/v1/namespaces/default HTTP/1.1\r\nHost: x\r\n\r\n"
        for request, code in (
                (post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden, 400),
                (post + "Content-Length: 0\r\nContent-Length: 70\r\n\r\n" + hidden, 400),
                (post + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + hidden, 501),
                (post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + hidden, 501),
                (post + "X: a\r\n folded: b\r\n\r\n" + hidden, 400),
                (post + "X: a\n\r\n" + hidden, 400),
                (post + "Content-Length : 70\r\n\r\n" + hidden, 400),
                (post + "Transfer-Encoding: chunked\r\n\r\n5;a=b\nhello\r\n0\r\n\r\n" + hidden, 400),
                (post + "Content-Length: 99999999\r\n\r\n" + hidden, 413),
                ("GET /" + "a" * 70_000 + " HTTP/1.1\r\n\r\n" + hidden, 431)):
            with self.subTest(request[:120]):
                answer = self.exchange(request.encode())
                self.assertTrue(answer.startswith(f"HTTP/1.1 {code} "), answer[:200])
                self.assertEqual(answer.count("HTTP/1.1"), 1, answer)
        # A chunk's extension says nothing.
        body = json.dumps({"metadata": {"name": "chunked"}})
        answer = self.exchange((post + "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" +
                                f"{len(body):x};a=b\r\n{body}\r\n0\r\n\r\n").encode())
        self.assertTrue(answer.startswith("HTTP/1.1 201 "), answer[:300])

    def test_slow_clients_hold_up_nobody(self):
        before = self.server_files()
        slow = [socket.create_connection((self.host, self.port), timeout=30) for _ in range(100)]
        for begun in ("GET /readyz HT", "GET /readyz HTTP/1.1\r\nHost: x\r\nX:",
                      "POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n{",
                      "GET /api/v1/pods?watch=true HTTP/1.1\r\nHost: x\r\n\r\n"):
            for _ in range(20):
                slow.append(self.connect())
                slow[-1].sendall(begun.encode())
        self.assertEqual(self.get("/readyz"), (200, b"ok"))
        self.assertEqual(self.get("/api/v1/namespaces/default/pods")[0], 200)
        self.assertGreater(self.server_files(), before + 100)
        for stream in slow:
            stream.close()
        self.assertTrue(eventually(lambda: self.server_files() <= before), f"{before} {self.server_files()}")

    def make_certificate(self, name, authority, days):
        key, certificate, request = (self.folder / f"{name}.{ending}" for ending in ("key", "crt", "csr"))
        ca, ca_key = authority

        def openssl(*arguments):
            subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=30)
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", request,
                "-subj", "/O=system:masters/CN=intruder")
        if ca is None:
            openssl("x509", "-req", "-in", request, "-signkey", key, "-days", str(days), "-out", certificate)
        else:
            openssl("x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-CAserial",
                    self.folder / "serial", "-days", str(days), "-out", certificate)

    def test_certificates_of_others_and_old_ones_are_refused(self):
        (log,) = self.lab.glob("log/server*.log")
        self.make_certificate("foreign", (None, None), 10)
        self.make_certificate("old", (self.lab / "pki" / "ca.crt", self.lab / "pki" / "ca.key"), 0)
        for name, reason in (("foreign", "certificate"), ("old", "expired")):
            before = len(log.read_text())
            with self.subTest(name), self.assertRaises((ssl.SSLError, ConnectionResetError)):
                stream = self.connect(name)
                stream.sendall(b"GET /api/v1/pods HTTP/1.1\r\nHost: x\r\n\r\n")
                stream.recv(100)  # in TLS 1.3 the client hears of it now
            line = eventually(lambda before=before: [line for line in log.read_text()[before:].splitlines()
                                                     if "tls_handshake_failed" in line])
            self.assertTrue(line, log.read_text()[-500:])
            self.assertIn("intruder", line[0])
            self.assertIn(reason, line[0])
        # Without a certificate one is nobody.
        stream = self.connect(None)
        stream.sendall(b"GET /api/v1/pods HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        self.assertIn(b" 403 ", stream.recv(1000))

    def test_many_idle_watches(self):
        before, memory = self.server_files(), self.server_memory()
        context = self.context()
        watches = []
        for _ in range(WATCHES):
            plain = socket.create_connection((self.host, self.port), timeout=30)
            watches.append(context.wrap_socket(plain, server_hostname=self.host))
            watches[-1].sendall(b"GET /api/v1/namespaces/default/configmaps?watch=true&fieldSelector=metadata.name%3Dseen "
                                b"HTTP/1.1\r\nHost: x\r\n\r\n")
        for watch in watches:
            self.assertIn(b" 200 ", watch.recv(1000))
        each = (self.server_memory() - memory) / WATCHES
        if not is_sanitized():  # a sanitizer's memory is its own
            self.assertLess(each, 100, "kilobytes a watch")
        self.podlab("apply", "-f", "-", input=json.dumps(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "seen"}}))
        for watch in watches:
            self.assertIn(b'"ADDED"', watch.recv(4000))
            watch.close()
        self.assertTrue(eventually(lambda: self.server_files() <= before), f"{before} {self.server_files()}")


if __name__ == "__main__":
    unittest.main()
