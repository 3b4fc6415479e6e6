"""Who may do what: roles, service accounts and their tokens, in pods and with unmodified kubectl."""
import json
import ssl
import unittest
import urllib.error
import urllib.request

from harness import LabTestCase, eventually
from kubectl_case import KubectlCase

# Asks the API for the pods of its namespace as in-cluster clients do, for ever: "CODE MESSAGE" a line.
CLIENT = """
import json, os, ssl, sys, time, urllib.error, urllib.request
folder = "/var/run/secrets/kubernetes.io/serviceaccount/"
read = lambda name: open(folder + name).read()
host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
context = ssl.create_default_context(cafile=folder + "ca.crt")
while True:
    request = urllib.request.Request(f"https://{host}:{port}/api/v1/namespaces/{read('namespace')}/pods",
                                     headers={"Authorization": "Bearer " + read("token")})
    try:
        with urllib.request.urlopen(request, context=context, timeout=5) as answer:
            print(answer.status, json.load(answer)["kind"], flush=True)
    except urllib.error.HTTPError as error:
        print(error.code, json.load(error)["message"], flush=True)
    except OSError as error:
        print("failed", error, flush=True)
    time.sleep(0.1)
"""

POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "client"},
       "spec": {"terminationGracePeriodSeconds": 0, "serviceAccountName": "bot",
                "containers": [{"name": "main", "image": "host", "command": ["python3", "-c", CLIENT]}]}}

RULES = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: pod-reader}
rules: [{apiGroups: [""], resources: [pods], verbs: [get, list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: bot-reads}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: pod-reader}
subjects: [{kind: ServiceAccount, name: bot, namespace: default}]
"""


class Auth(KubectlCase):
    """The tests; each class below runs them with one version of kubectl."""

    @classmethod
    def environment_of_kubectl(cls):
        return cls.environment  # with the kubeconfig that podlab up has changed

    def refusal(self, *arguments, **options):
        """Also what goes to stdout: can-i says no there."""
        done = self.run_kubectl(*arguments, **options)
        self.assertNotEqual(done.returncode, 0, done.stdout)
        return done.stderr + done.stdout

    def anonymously(self, *arguments):
        """Without the certificate: with what the arguments say."""
        config = json.loads(self.kubectl("config", "view", "--raw", "-o", "json"))
        return self.run_kubectl("--kubeconfig", "/dev/null", "--server", config["clusters"][0]["cluster"]["server"],
                                "--insecure-skip-tls-verify", *arguments)

    def test_a_pod_calls_the_api(self):
        last = lambda: self.podlab("logs", "client", "--tail", "1").strip()
        self.kubectl("create", "serviceaccount", "bot")
        self.kubectl("apply", "-f", "-", input=json.dumps(POD))
        self.kubectl("wait", "pod/client", "--for=condition=Ready", "--timeout=30s")
        refused = ('403 pods is forbidden: User "system:serviceaccount:default:bot" cannot list resource "pods" in API group '
                   '"" in the namespace "default"')
        self.assertTrue(eventually(lambda: last() == refused), last())
        self.kubectl("apply", "-f", "-", input=RULES)
        self.assertTrue(eventually(lambda: last() == "200 PodList"), last())
        self.kubectl("delete", "rolebinding", "bot-reads")
        self.assertTrue(eventually(lambda: last() == refused), last())
        # Its token does not outlive it; another of its name is another.
        self.kubectl("delete", "serviceaccount", "bot")
        self.assertTrue(eventually(lambda: last() == "401 Unauthorized"), last())
        self.kubectl("delete", "pod", "client")

    def test_a_token_ends_with_its_pod(self):
        self.kubectl("run", "holder", "--image=host", "--overrides", '{"spec":{"terminationGracePeriodSeconds":0}}',
                     "--command", "--", "sleep", "1000")
        self.kubectl("wait", "pod/holder", "--for=condition=Ready", "--timeout=30s")
        token = self.kubectl("exec", "holder", "--", "cat", "/var/run/secrets/kubernetes.io/serviceaccount/token")
        self.assertIn('User "system:serviceaccount:default:default" cannot list',
                      self.anonymously("--token", token, "get", "pods").stderr)
        self.kubectl("delete", "pod", "holder")
        self.assertIn("Unauthorized", self.anonymously("--token", token, "get", "pods").stderr)

    def token_of(self, account):
        if not self.is_old:
            return self.kubectl("create", "token", account, "--duration", "15m").strip()
        request = json.dumps({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 900}})
        answer = self.kubectl("create", "-f", "-", "--raw", f"/api/v1/namespaces/default/serviceaccounts/{account}/token", input=request)
        return json.loads(answer)["status"]["token"]

    def test_tokens(self):
        self.kubectl("create", "serviceaccount", "caller")
        token = self.token_of("caller")
        if not self.is_old:
            who = self.anonymously("--token", token, "auth", "whoami", "-o", "json")
            self.assertEqual(who.returncode, 0, who.stderr)
            info = json.loads(who.stdout)["status"]["userInfo"]
            self.assertEqual(info["username"], "system:serviceaccount:default:caller")
            self.assertIn("system:serviceaccounts:default", info["groups"])
        self.assertIn("cannot list resource", self.anonymously("--token", token, "get", "pods").stderr)
        self.kubectl("create", "rolebinding", "caller-views", "--clusterrole=view", "--serviceaccount=default:caller")
        listed = self.anonymously("--token", token, "get", "pods")
        self.assertEqual(listed.returncode, 0, listed.stderr)
        self.assertIn("cannot list resource \"secrets\"", self.anonymously("--token", token, "get", "secrets").stderr)
        self.kubectl("delete", "serviceaccount", "caller")
        self.assertIn("Unauthorized", self.anonymously("--token", token, "get", "pods").stderr)
        if self.is_old:
            return
        self.assertIn("less than 10 minutes", self.refusal("create", "token", "default", "--duration", "1m"))
        self.assertIn("not found", self.refusal("create", "token", "none"))

    def test_whoami_and_can_i(self):
        if not self.is_old:
            self.assertIn("podlab-admin", self.kubectl("auth", "whoami"))
            self.assertIn("jane", self.kubectl("auth", "whoami", "--as", "jane", "--as-group", "dev"))
        self.assertEqual(self.kubectl("auth", "can-i", "create", "pods").strip(), "yes")
        self.assertIn("*.*", self.kubectl("auth", "can-i", "--list"))
        jane = ("--as", "jane", "--as-group", "dev")
        self.assertEqual(self.refusal("auth", "can-i", "list", "pods", *jane).strip(), "no")
        self.kubectl("create", "role", "reader", "--verb=get,list", "--resource=pods,pods/log")
        self.kubectl("create", "rolebinding", "dev-reads", "--role=reader", "--group=dev")
        self.assertEqual(self.kubectl("auth", "can-i", "list", "pods", *jane).strip(), "yes")
        self.assertEqual(self.kubectl("auth", "can-i", "get", "pods", "--subresource=log", *jane).strip(), "yes")
        self.assertEqual(self.refusal("auth", "can-i", "list", "pods", "-n", "kube-system", *jane).strip(), "no")
        self.assertRegex(self.kubectl("auth", "can-i", "--list", *jane), r"pods +\[\] +\[\] +\[get list\]")
        self.kubectl("get", "pods", *jane)
        self.assertIn('User "jane" cannot delete resource "pods"', self.refusal("delete", "pod", "x", *jane))
        self.kubectl("delete", "rolebinding", "dev-reads")

    def test_objects_of_rbac(self):
        self.kubectl("apply", "-f", "-", input=RULES)
        self.assertRegex(self.kubectl("get", "roles"), r"NAME +CREATED AT\n(.*\n)*pod-reader +20\d\d-")
        self.assertRegex(self.kubectl("get", "rolebindings", "-o", "wide"),
                         r"NAME +ROLE +AGE +USERS +GROUPS +SERVICEACCOUNTS\n(.*\n)*bot-reads +Role/pod-reader +\S+ +default/bot")
        self.assertRegex(self.kubectl("describe", "role", "pod-reader"), r"pods +\[\] +\[\] +\[get list\]")
        self.assertRegex(self.kubectl("describe", "clusterrole", "view"), r"pods/log +\[\] +\[\] +\[get list watch\]")
        self.assertIn("bot", self.kubectl("describe", "rolebinding", "bot-reads"))
        self.assertIn("cannot change roleRef", self.refusal("patch", "rolebinding", "bot-reads", "--type=merge", "-p",
                                                            '{"roleRef":{"name":"x"}}'))
        self.kubectl("delete", "role/pod-reader", "rolebinding/bot-reads")

    def test_namespaces_have_an_account(self):
        self.kubectl("create", "ns", "fresh")
        self.kubectl("run", "first", "-n", "fresh", "--image=host", "--restart=Never", "--", "true")
        self.assertRegex(self.kubectl("get", "sa", "-n", "fresh"), r"default +0 ")
        self.assertIn("BEGIN CERTIFICATE", self.kubectl("get", "cm", "kube-root-ca.crt", "-n", "fresh", "-o", "yaml"))
        self.assertRegex(self.kubectl("describe", "pod", "first", "-n", "fresh"),
                         r"/var/run/secrets/kubernetes.io/serviceaccount from kube-api-access-\w{5} \(ro\)")
        self.assertIn('serviceaccount "none" not found',
                      self.refusal("run", "x", "--image=host", "--overrides", '{"spec":{"serviceAccountName":"none"}}'))
        self.kubectl("delete", "ns", "fresh")

    def test_nobody(self):
        server = self.kubectl("config", "view", "-o", "jsonpath={.clusters[0].cluster.server}")

        def get(path):
            try:
                with urllib.request.urlopen(server + path, context=ssl._create_unverified_context(), timeout=10) as answer:
                    return answer.status, answer.read().decode()
            except urllib.error.HTTPError as error:
                return error.code, json.load(error)["message"]

        self.assertEqual(get("/api/v1/pods"), (403, 'pods is forbidden: User "system:anonymous" cannot list resource "pods" in '
                                                    'API group "" at the cluster scope'))
        self.assertEqual(get("/api"), (403, 'forbidden: User "system:anonymous" cannot get path "/api"'))
        self.assertEqual(get("/healthz"), (200, "ok"))
        self.assertEqual(get("/version")[0], 200)
        self.assertIn("Unauthorized", self.anonymously("--token", "x", "get", "--raw", "/version").stderr)


class Auth120(Auth, LabTestCase):
    version = "1.20"
    is_old = True


class Auth132(Auth, LabTestCase):
    version = "1.32"


class Auth135(Auth, LabTestCase):
    version = "1.35"


class Kubeconfig(LabTestCase):
    """What `podlab up` and `podlab down` do to the file of kubectl."""

    def config(self):
        return (self.kube / "config").read_text()

    def test_up_and_down(self):
        self.assertIn("current-context: podlab-default", self.config())
        path = self.kube / "config"
        path.write_text(self.config().replace("current-context: podlab-default", "current-context: mine"))
        self.podlab("down")
        self.assertNotIn("podlab-default", self.config())
        self.assertIn("current-context: mine", self.config())
        # A broken one is told of, and left alone.
        path.write_text("- broken\n")
        done = self.run_podlab("up")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"warning: the kubeconfig is not changed: {path}: it is no kubeconfig", done.stderr)
        self.assertEqual(self.config(), "- broken\n")
        self.podlab("down")
        # Another one, and none.
        path.unlink()
        self.podlab("up", "--kubeconfig", str(self.kube / "other"))
        self.assertFalse(path.exists())
        self.assertIn("podlab-default", (self.kube / "other").read_text())
        self.podlab("down")
        self.assertNotIn("podlab-default", (self.kube / "other").read_text())
        self.podlab("up", "--kubeconfig", "none")
        self.assertFalse(path.exists())


if __name__ == "__main__":
    unittest.main()
