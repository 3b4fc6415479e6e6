"""A small client of the REST API, for tests that look at each request."""
import base64
import http.client
import json
import re
import ssl


def keep_credentials(kubeconfig, folder):
    """Writes ca.crt, admin.crt and admin.key of a kubeconfig (its text); the server's host and port."""
    for key, name in (("certificate-authority-data", "ca.crt"), ("client-certificate-data", "admin.crt"),
                      ("client-key-data", "admin.key")):
        text = re.search(rf"{key}: (\S+)", kubeconfig).group(1)
        (folder / name).write_bytes(base64.b64decode(text))
    host, port = re.search(r"server: https://([^:]+):(\d+)", kubeconfig).groups()
    return host, int(port)


class RestError(Exception):
    def __init__(self, status):
        super().__init__(status.get("message"))
        self.code = status.get("code")
        self.reason = status.get("reason")


class RestClient:
    """One connection, opened anew when it is lost; not for several threads."""

    def __init__(self, kubeconfig, folder):
        """Keeps the keys of the kubeconfig (its text) in `folder`."""
        self.host, self.port = keep_credentials(kubeconfig, folder)
        self.context = ssl.create_default_context(cafile=folder / "ca.crt")
        self.context.load_cert_chain(folder / "admin.crt", folder / "admin.key")
        self.connection = None

    def open(self):
        return http.client.HTTPSConnection(self.host, self.port, context=self.context, timeout=30)

    def call(self, method, path, body=None, media="application/json"):
        """The object that is answered. RestError for a refusal; OSError or HTTPException when no whole answer came: then nobody
        knows whether it was done."""
        if self.connection is None:
            self.connection = self.open()
        try:
            self.connection.request(method, path, None if body is None else json.dumps(body), {"Content-Type": media})
            response = self.connection.getresponse()
            answer = json.loads(response.read())
        except BaseException:
            self.close()
            raise
        if response.status >= 400:
            raise RestError(answer)
        return answer

    def watch(self, path):
        """The events of a watch until it ends."""
        connection = self.open()
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            if response.status >= 400:
                raise RestError(json.loads(response.read()))
            for line in response:
                yield json.loads(line)
        finally:
            connection.close()

    def close(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = None
