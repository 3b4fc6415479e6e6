// What javascript_test.py asks of the JavaScript client; prints what it found as JSON.
import { PassThrough, Writable } from 'node:stream';
import * as k8s from '@kubernetes/client-node';

const config = new k8s.KubeConfig();
config.loadFromDefault();
const core = config.makeApiClient(k8s.CoreV1Api);
const found = {};

class Text extends Writable {
  text = '';
  _write(chunk, encoding, done) {
    this.text += chunk;
    this.emit('more');
    done();
  }
  async has(part) {
    while (!this.text.includes(part)) await new Promise((resolve) => this.once('more', resolve));
  }
}

const pods = await core.listNamespacedPod({ namespace: 'default' });
found.pods = pods.items.map((pod) => pod.metadata.name).sort();
found.uid = typeof pods.items[0].metadata.uid;

const seen = new Promise((resolve, reject) => {
  new k8s.Watch(config).watch('/api/v1/namespaces/default/configmaps', {}, (phase, object) => {
    if (object.metadata.name === 'by-javascript') resolve(phase);
  }, reject);
});
await core.createNamespacedConfigMap({
  namespace: 'default',
  body: { metadata: { name: 'by-javascript' }, data: { a: '1' } },
});
found.watched = await seen;
const patched = await core.patchNamespacedConfigMap({
  name: 'by-javascript',
  namespace: 'default',
  body: [{ op: 'replace', path: '/data/a', value: '2' }],
});
found.patched = patched.data.a;
for (const [strategy, body] of [
  [k8s.PatchStrategy.MergePatch, { data: { b: 'merged' } }],
  [k8s.PatchStrategy.StrategicMergePatch, { data: { c: 'strategic' } }],
  [k8s.PatchStrategy.ServerSideApply,
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'by-javascript' }, data: { d: 'applied' } }],
]) {
  const map = await core.patchNamespacedConfigMap(
    { name: 'by-javascript', namespace: 'default', body, fieldManager: 'javascript' },
    k8s.setHeaderOptions('Content-Type', strategy));
  found.merged = map.data;
}
const events = await config.makeApiClient(k8s.EventsV1Api).listNamespacedEvent(
  { namespace: 'default', fieldSelector: 'regarding.name=web' });
found.events = events.items.map((event) => event.reason);
const nodes = await k8s.topNodes(core);
found.nodes = nodes.map((node) => node.Node.metadata.name);
const metrics = new k8s.Metrics(config);
for (let usage = []; usage.length === 0; found.usage = usage.map((each) => each.name).sort())
  usage = (await metrics.getPodMetrics('default')).items.flatMap((pod) => pod.containers);
found.missing = await core.readNamespacedPod({ name: 'nope', namespace: 'default' })
  .then(() => 200, (error) => error.code);

const definitions = config.makeApiClient(k8s.ApiextensionsV1Api);
const custom = config.makeApiClient(k8s.CustomObjectsApi);
const defined = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'notes.example.com' },
  spec: {
    group: 'example.com',
    scope: 'Namespaced',
    names: { plural: 'notes', singular: 'note', kind: 'Note' },
    versions: [{
      name: 'v1', served: true, storage: true,
      schema: { openAPIV3Schema: { type: 'object', properties: { text: { type: 'string' } } } },
    }],
  },
};
await definitions.createCustomResourceDefinition({ body: defined });
const established = (one) =>
  (one.status?.conditions ?? []).some((it) => it.type === 'Established' && it.status === 'True');
while (!established(await definitions.readCustomResourceDefinition({ name: 'notes.example.com' })))
  await new Promise((resolve) => setTimeout(resolve, 10));
const notes = { group: 'example.com', version: 'v1', namespace: 'default', plural: 'notes' };
await custom.createNamespacedCustomObject({
  ...notes, body: { apiVersion: 'example.com/v1', kind: 'Note', metadata: { name: 'n' }, text: 'hi', more: 1 },
});
const note = (await custom.listNamespacedCustomObject(notes)).items[0];
found.note = [note.text, note.more === undefined, note.metadata.generation];
await definitions.deleteCustomResourceDefinition({ name: 'notes.example.com' });

async function exec(command, input) {
  const out = new Text();
  const err = new Text();
  const status = await new Promise((resolve, reject) => {
    new k8s.Exec(config).exec('default', 'web', 'main', command, out, err, input, false, resolve)
      .catch(reject);
  });
  return { out: out.text, err: err.text, status: status.status, reason: status.reason };
}
found.exec = await exec(['sh', '-c', 'echo out; echo err >&2; exit 3'], null);
const input = new PassThrough();
input.end('typed');
found.input = await exec(['cat'], input);

const ticks = new Text();
const attached = await new k8s.Attach(config).attach('default', 'web', 'ticker', ticks, null, null, false);
await ticks.has('tick');
attached.close();

const log = new Text();
await new k8s.Log(config).log('default', 'web', 'main', log, { tailLines: 1 });
await log.has('again');
found.log = log.text;

async function forward(port, question) {
  const answer = new Text();
  const errors = new Text();
  const input = new PassThrough();
  const socket = await new k8s.PortForward(config).portForward(
    'default', 'web', [port], answer, errors, input);
  const closed = new Promise((resolve) => { socket.onclose = (event) => resolve(event.code); });
  input.end(question);
  return { closed: await closed, answer: answer.text, error: errors.text };
}
found.forward = await forward(7000, 'hello');
found.refused = await forward(9, 'hello');

console.log(JSON.stringify(found));
process.exit(0);
