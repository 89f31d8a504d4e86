import { expect } from 'chai';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { serverForTests, type ServerForTests } from '../support/running-server.ts';
import type { TestClient } from '../support/test-client.ts';
import { ComponentProcess } from './component-process.ts';
import { CuttingProxy } from './cutting-proxy.ts';

const SECRET = 'my only love sprung from my only hate';
const GATEWAY = 'gateway.localhost';

/** What slidge asks for. */
const PRIVILEGES = {
  roster: 'both',
  message: 'outgoing',
  presence: 'managed_entity',
  iq: [{ namespace: 'jabber:iq:private', type: 'both' }],
};

describe('a component made with slixmpp', () => {
  let directory: string;
  let server: ServerForTests;
  let proxy: CuttingProxy;
  let component: ComponentProcess;
  let juliet: TestClient;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'posthorn-component-'));
    const secretFile = join(directory, 'secret');
    await writeFile(secretFile, SECRET, { mode: 0o600 });
    server = await serverForTests({
      environment: {
        POSTHORN_COMPONENTS_PORT: '0',
        POSTHORN_COMPONENTS_EXTERNAL: JSON.stringify([{ domain: GATEWAY, secret_file: secretFile, ...PRIVILEGES }]),
      },
    });
    const port = server.server.listening.find(({ name }) => name === 'component')?.port ?? 0;
    proxy = await CuttingProxy.start(port, () => 0);
    component = new ComponentProcess(GATEWAY, SECRET, proxy.port);
    juliet = await server.login('juliet', 'balcony');
    juliet.send('<presence/>');
  });

  after(async () => {
    await component.end();
    await proxy.stop();
    await server.stop();
    await rm(directory, { recursive: true });
  });

  const say = (body: string): void =>
    juliet.send(`<message to='nurse@${GATEWAY}' type='chat' id='${body}'><body>${body}</body></message>`);

  it('is told its privileges, and uses them as slidge does (XEP-0356)', async () => {
    const { roster, message, presence } = await component.next('privileged');
    expect({ roster, message, presence }).to.deep.equal({
      roster: 'both',
      message: 'outgoing',
      presence: 'managed_entity',
    });
    juliet.send(`<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq>`);
    await juliet.until(/<iq [^>]*id='c'[^>]*>/);
    const contact = `nurse@${GATEWAY}`;
    const items = { [contact]: { name: 'Nurse', subscription: 'both', groups: ['Verona'] } };
    await component.perform('roster-set', { jid: 'juliet@localhost', items });
    expect(await component.perform('roster', { jid: 'juliet@localhost' })).to.deep.equal({ [contact]: 'both' });
    await component.perform('carbon', { jid: 'juliet@localhost', to: contact, body: 'Said on my old telephone' });
    const carbon = await juliet.until(/<message [^>]*><sent xmlns='urn:xmpp:carbons:2'>.*?<\/sent><\/message>/s);
    expect(carbon).to.include('<body>Said on my old telephone</body>').and.include(`to='${contact}'`);
    expect(await component.perform('bookmarks', { jid: 'juliet@localhost' })).to.equal('result');
  });

  it('answers', async () => {
    say('Is it good or bad?');
    expect((await component.next('message')).sender).to.equal('juliet@localhost/balcony');
    expect(await juliet.until(/<body>You said: .*?<\/body>/)).to.include(`from='nurse@${GATEWAY}'`);
  });

  it('gives itself a name in service discovery', async () => {
    juliet.send(`<iq to='localhost' type='get' id='d'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>`);
    expect(await juliet.until(/<iq [^>]*id='d'.*?<\/iq>/s)).to.include(`jid='${GATEWAY}' name='The Globe'`);
  });

  it('is cut, and returns; what is said meanwhile comes back', async () => {
    const cut = proxy.cut();
    say('one');
    await cut;
    await component.next('offline');
    await juliet.until(/<message [^>]*id='one'[^>]*type='error'.*?<\/message>/s);
    await component.next('online');
    say('two');
    await juliet.until(/<body>You said: two<\/body>/);
    expect(server.server.operations.components().map(({ domain, address }) => [domain, address])).to.deep.equal([
      [GATEWAY, '127.0.0.1'],
    ]);
  });
});
