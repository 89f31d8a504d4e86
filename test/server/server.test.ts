import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { loadConfig } from '../../config/load.ts';
import { openLog } from '../../server/log.ts';
import { deriveCredentials } from '../../server/sasl/scram-keys.ts';
import { startServer, type RunningServer } from '../../server/server.ts';
import { TestClient } from '../support/test-client.ts';

const PASSWORD = 'wherefore-art-thou';

describe('the server', () => {
  let directory: string;
  let server: RunningServer;
  let clients: TestClient[];

  const start = async (environment: Record<string, string> = {}): Promise<RunningServer> => {
    const config = loadConfig({
      environment: {
        POSTHORN_DATA_DIRECTORY: directory,
        POSTHORN_C2S_PORT: '0',
        POSTHORN_C2S_TLS_PORT: '0',
        POSTHORN_C2S_ADDRESSES: '127.0.0.1',
        POSTHORN_HTTP_PORT: '0',
        POSTHORN_HTTP_ADDRESSES: '127.0.0.1',
        POSTHORN_OPERATIONS_PORT: '0',
        POSTHORN_SASL_SCRAM_ITERATIONS: '4096',
        POSTHORN_STORAGE_DURABILITY: 'process',
        ...environment,
      },
      workingDirectory: directory,
    });
    return startServer({ config, log: openLog({ level: 'silent' }) });
  };
  const port = (): number => server.listening.find(({ name }) => name === 'c2s')!.port;
  const login = async (username: string, resource: string): Promise<TestClient> => {
    const client = await TestClient.login(port(), username, PASSWORD, resource);
    clients.push(client);
    return client;
  };

  beforeEach(async () => {
    clients = [];
    directory = await mkdtemp(join(tmpdir(), 'posthorn-test-'));
    server = await start();
    const credentials = await deriveCredentials(PASSWORD, {
      iterations: 4096,
      random: (length) => randomBytes(length),
    });
    for (const name of ['juliet', 'romeo']) {
      const record = { createdAt: Date.now(), disabled: false, credentials };
      await server.operations.storage.accounts.create(`${name}@localhost`, record);
    }
  });

  afterEach(async () => {
    for (const client of clients) client.destroy();
    await server.stop();
    await rm(directory, { recursive: true, force: true });
  });

  it('delivers a message over TLS with the next number of its chat', async () => {
    const [juliet, romeo] = [await login('juliet', 'balcony'), await login('romeo', 'orchard')];
    romeo.send('<presence/>');
    await romeo.until(/<presence [^>]*from='romeo@localhost\/orchard'[^>]*>/);
    juliet.send(`<message to='romeo@localhost' type='chat' id='m1'><body>Art thou not Romeo?</body></message>`);
    const message = await romeo.until(/<\/message>/);
    expect(message).to.include(`from='juliet@localhost/balcony'`).and.include('Art thou not Romeo?');
    expect(message).to.include(
      `<sequence xmlns='urn:posthorn:sequence:0' by='localhost' chat='juliet@localhost' n='1'/>`,
    );
  });

  it('keeps messages for who is away over a restart and delivers them in order, before anything live', async () => {
    const juliet = await login('juliet', 'balcony');
    juliet.send(`<enable xmlns='urn:xmpp:sm:3'/>`);
    await juliet.until(/<enabled[^>]*>/);
    for (let n = 1; n <= 20; n++) {
      juliet.send(`<message to='romeo@localhost' type='chat'><body>line ${n}</body></message>`);
    }
    juliet.send(`<r xmlns='urn:xmpp:sm:3'/>`);
    expect(await juliet.until(/<a [^>]*>/)).to.include(`h='20'`);
    await server.stop();
    await juliet.until(/<system-shutdown[^>]*>/);
    server = await start();
    const romeo = await login('romeo', 'orchard');
    romeo.send('<presence/>');
    const bodies: string[] = [];
    for (let n = 1; n <= 20; n++) {
      const message = await romeo.until(/<message.*?<\/message>/s);
      bodies.push(/<body>(.*)<\/body>/.exec(message)?.[1] ?? '');
      expect(message).to.include(` n='${n}'/>`).and.include(`<delay xmlns='urn:xmpp:delay' from='localhost'`);
    }
    expect(bodies).to.deep.equal(Array.from({ length: 20 }, (_, index) => `line ${index + 1}`));
  });

  it('delivers what was delivered only once', async () => {
    const juliet = await login('juliet', 'balcony');
    juliet.send(
      `<message to='romeo@localhost' type='chat'><body>once</body></message><iq id='q' type='get' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>`,
    );
    await juliet.until(/id='q'/);
    const romeo = await login('romeo', 'orchard');
    romeo.send('<presence/>');
    await romeo.until(/once/);
    romeo.send('</stream:stream>');
    await romeo.closed();
    await server.stop();
    server = await start();
    const again = await login('romeo', 'orchard');
    again.send(`<presence/><iq id='q' type='get' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>`);
    expect(await again.until(/id='q'[^>]*>/)).not.to.include('once');
  });

  it('refuses a wrong password and data before the login, and serves the others on', async () => {
    const romeo = await login('romeo', 'orchard');
    const stranger = await TestClient.connect(port());
    clients.push(stranger);
    stranger.open();
    await stranger.until(/<\/stream:features>/);
    stranger.send(`<message to='romeo@localhost'><body>let me in</body></message>`);
    await stranger.until(/<not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'\/>/);
    await stranger.closed();
    romeo.send(`<iq id='p' type='get' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>`);
    expect(await romeo.until(/<iq [^>]*id='p'[^>]*>/)).to.include(`type='result'`);
  });

  for (const [what, bytes, condition] of [
    ['a comment', '<!-- no -->', 'restricted-xml'],
    ['a wrong end tag', '<message><body></message>', 'not-well-formed'],
    ['a stanza that is too large', `<message><body>${'x'.repeat(300_000)}</body></message>`, 'policy-violation'],
    ['somebody else as the sender', `<message from='nurse@localhost' to='romeo@localhost'/>`, 'invalid-from'],
    ['an element that is no stanza', `<query xmlns='jabber:client'/>`, 'unsupported-stanza-type'],
  ] as const) {
    it(`answers ${what} with ${condition} and ends the stream`, async () => {
      const juliet = await login('juliet', 'balcony');
      juliet.send(bytes);
      await juliet.until(new RegExp(`<stream:error><${condition} `));
      await juliet.closed();
    });
  }
});
