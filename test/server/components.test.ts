import { expect } from 'chai';
import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Verona, type ServerInPlay } from '../support/federated-servers.ts';
import { TestClient } from '../support/test-client.ts';

const SECRET = 'a plague on both your houses';
const GATEWAY = 'gateway.capulet.example';

describe('a server with an external component, and another server', () => {
  let directory: string;
  let verona: Verona;
  let capulet: ServerInPlay;
  let juliet: TestClient;
  let romeo: TestClient;
  let component: TestClient | undefined;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'posthorn-component-'));
    await writeFile(join(directory, 'secret'), `${SECRET}\n`, { mode: 0o600 });
    verona = await Verona.found();
    const external = [{ domain: GATEWAY, secret_file: join(directory, 'secret') }];
    capulet = await verona.start('capulet.example', ['juliet'], {
      environment: { POSTHORN_COMPONENTS_PORT: '0', POSTHORN_COMPONENTS_EXTERNAL: JSON.stringify(external) },
    });
    const montague = await verona.start('montague.example', ['romeo']);
    verona.dns.records = [
      ...verona.dns.records,
      ...verona.dns.records
        .filter(({ name }) => name.endsWith('.capulet.example'))
        .map((record) => ({ ...record, name: record.name.replace('capulet.example', GATEWAY) })),
    ];
    juliet = await capulet.enter('juliet', 'balcony');
    romeo = await montague.enter('romeo', 'orchard');
  });

  afterEach(async () => {
    component?.destroy();
    component = undefined;
    await verona.fall();
    await rm(directory, { recursive: true });
  });

  async function connect(): Promise<TestClient> {
    const place = capulet.running.listening.find(({ name }) => name === 'component');
    expect(place?.address).to.equal('127.0.0.1');
    const connected = await TestClient.connect(place?.port ?? 0);
    connected.send(
      `<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='${GATEWAY}'>`,
    );
    const id = /id='([^']+)'/.exec(await connected.until(/<stream:stream [^>]*>/))?.[1] ?? '';
    connected.send(`<handshake>${createHash('sha1').update(`${id}${SECRET}`).digest('hex')}</handshake>`);
    await connected.until(/<handshake\/>/);
    return connected;
  }

  it('carries subscriptions, presence and messages between people and the component’s users', async () => {
    component = await connect();
    juliet.send(`<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>`);
    juliet.send(`<presence to='nurse@${GATEWAY}' type='subscribe'/>`);
    expect(await component.until(/<presence [^>]*type='subscribe'[^>]*>/)).to.include(`from='juliet@capulet.example'`);
    component.send(`<presence from='nurse@${GATEWAY}' to='juliet@capulet.example' type='subscribed'/>`);
    component.send(`<presence from='nurse@${GATEWAY}/legacy' to='juliet@capulet.example'><show>away</show></presence>`);
    await juliet.until(/<presence [^>]*type='subscribed'/);
    expect(await juliet.until(/<presence [^>]*><show>away<\/show><\/presence>/)).to.include(`nurse@${GATEWAY}/legacy`);
    juliet.send(`<message to='nurse@${GATEWAY}' type='chat'><body>Anon</body></message>`);
    await component.until(/<body>Anon<\/body>/);
    component.send(
      `<message from='nurse@${GATEWAY}' to='juliet@capulet.example' type='chat'><body>Madam!</body></message>`,
    );
    await juliet.until(/<body>Madam!<\/body>/);
  });

  it('carries messages of another server to the component, its answers, and the error while it is away', async () => {
    romeo.send(`<message to='nurse@${GATEWAY}' type='chat' id='m1'><body>Bid her devise</body></message>`);
    await romeo.until(/<message [^>]*type='error'.*<service-unavailable/s);
    component = await connect();
    romeo.send(`<message to='nurse@${GATEWAY}' type='chat' id='m2'><body>Bid her come</body></message>`);
    expect(await component.until(/<body>Bid her come<\/body>/)).to.include(`from='romeo@montague.example/orchard'`);
    component.send(
      `<message from='nurse@${GATEWAY}' to='romeo@montague.example' type='chat'><body>I will tell her</body></message>`,
    );
    expect(await romeo.until(/<body>I will tell her<\/body>/)).to.include(`from='nurse@${GATEWAY}'`);
  });

  it('gives back what had not arrived when the server stops, while clients can still hear it', async () => {
    component = await connect();
    juliet.send(`<message to='nurse@${GATEWAY}' type='chat' id='m1'><body>What news?</body></message>`);
    await component.until(/<body>What news\?<\/body>/);
    const stopped = capulet.stop();
    await juliet.until(/<message [^>]*type='error'.*<remote-server-timeout/s);
    await component.until(/<system-shutdown .*<\/stream:stream>/);
    await stopped;
  });
});
