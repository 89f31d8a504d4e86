import { expect } from 'chai';
import { MemoryStore } from '../../../storage/backends/memory.ts';
import { serverForTests, type ServerForTests } from '../../support/running-server.ts';
import type { TestClient } from '../../support/test-client.ts';

const CSI = `xmlns='urn:xmpp:csi:0'`;
const STATES = `xmlns='http://jabber.org/protocol/chatstates'`;
const PING = `<iq to='localhost' id='ping1' type='get'><ping xmlns='urn:xmpp:ping'/></iq>`;

describe('server/modules/client-state (XEP-0352)', () => {
  let play: ServerForTests;
  let juliet: TestClient;
  let romeo: TestClient;

  beforeEach(async () => {
    play = await serverForTests();
    [juliet, romeo] = [await play.login('juliet', 'balcony'), await play.login('romeo', 'orchard')];
    // Romeo may know of this resource, and so ask it something.
    juliet.send(`<presence/><presence to='romeo@localhost/orchard'/>`);
    await juliet.until(/<presence [^>]*>/);
    await romeo.until(/<presence [^>]*>/);
    juliet.send(`<inactive ${CSI}/>${PING}`);
    await juliet.until(/<iq [^>]*id='ping1'[^>]*>/);
  });

  afterEach(() => play.stop());

  /** Romeo sends it, and it has been dealt with. */
  async function romeoSends(bytes: string): Promise<void> {
    romeo.send(`${bytes}<iq to='localhost' id='done' type='get'><ping xmlns='urn:xmpp:ping'/></iq>`);
    await romeo.until(/<iq [^>]*id='done'[^>]*>/);
  }

  /** What Juliet is sent up to the pattern. */
  async function julietHears(pattern: RegExp): Promise<string> {
    return juliet.until(pattern);
  }

  const shows = (text: string): string[] => [...text.matchAll(/<show>(\w+)<\/show>/g)].map(([, show]) => show!);

  it('Example 1: is announced to who is authenticated', async () => {
    const client = await play.authenticated('juliet');
    client.open();
    expect(await client.until(/<\/stream:features>/)).to.include(`<csi ${CSI}/>`);
  });

  it('Example 4: flushes what waits on <active/> before it answers what follows', async () => {
    for (const show of ['away', 'dnd', 'xa']) {
      await romeoSends(`<presence to='juliet@localhost/balcony'><show>${show}</show></presence>`);
    }
    await romeoSends(`<message to='juliet@localhost' type='chat'><composing ${STATES}/></message>`);
    expect(juliet.received).to.equal('');
    juliet.send(`<active ${CSI}/>${PING}`);
    const heard = await julietHears(/<iq [^>]*id='ping1'[^>]*>/);
    expect(shows(heard)).to.deep.equal(['xa']); // the latest of each contact
    expect(heard.indexOf('<composing')).to.be.greaterThan(heard.indexOf('<show>xa'));
    await romeoSends(`<presence to='juliet@localhost/balcony'><show>chat</show></presence>`);
    expect(shows(await julietHears(/<\/presence>/))).to.deep.equal(['chat']);
  });

  for (const [what, stanza] of [
    ['a message for a person', `<message to='juliet@localhost' type='chat'><body>Juliet!</body></message>`],
    [
      'a call',
      `<message to='juliet@localhost/balcony' type='chat'><propose xmlns='urn:xmpp:jingle-message:0' id='c'/></message>`,
    ],
    ['an error', `<message to='juliet@localhost/balcony' type='error' id='e'/>`],
    ['a request', `<iq to='juliet@localhost/balcony' type='get' id='v'><query xmlns='jabber:iq:version'/></iq>`],
    ['a request for a subscription', `<presence to='juliet@localhost' type='subscribe'/>`],
  ] as const) {
    it(`does not wait with ${what}, and sends first what came before it`, async () => {
      await romeoSends(`<presence to='juliet@localhost/balcony'><show>away</show></presence>${stanza}`);
      const heard = await julietHears(/<(message|iq|presence [^>]*type='subscribe')[^>]*>/);
      expect(shows(heard)).to.deep.equal(['away']);
      juliet.received = '';
      await romeoSends(`<presence to='juliet@localhost/balcony'><show>dnd</show></presence>`);
      expect(juliet.received).to.not.include('<show>'); // still inactive
    });
  }

  it('holds no more than a bounded number', async () => {
    await play.stop();
    play = await serverForTests({ environment: { POSTHORN_LIMITS_MAX_QUEUE_STANZAS: '40' } });
    [juliet, romeo] = [await play.login('juliet', 'balcony'), await play.login('romeo', 'orchard')];
    juliet.send(`<inactive ${CSI}/>${PING}`);
    await juliet.until(/<iq [^>]*id='ping1'[^>]*>/);
    await romeoSends(`<message to='juliet@localhost/balcony' type='chat'><composing ${STATES}/></message>`.repeat(11));
    const heard = await julietHears(/(<message [^>]*><composing.*?<\/message>){11}/s);
    expect(heard.match(/<composing/g)).to.have.length(11);
  });

  it('5.2: a resumed stream begins active, with what was held', async () => {
    juliet.send(`<enable xmlns='urn:xmpp:sm:3' resume='true'/>`);
    const id = / id='([^']+)'/.exec(await julietHears(/<enabled [^>]*>/))![1]!;
    await romeoSends(`<presence to='juliet@localhost/balcony'><show>away</show></presence>`);
    juliet.destroy();
    const again = await play.authenticated('juliet');
    again.open();
    await again.until(/<\/stream:features>/);
    again.send(`<resume xmlns='urn:xmpp:sm:3' previd='${id}' h='0'/>`);
    expect(shows(await again.until(/<\/presence>/))).to.deep.equal(['away']);
    await romeoSends(`<presence to='juliet@localhost/balcony'><show>dnd</show></presence>`);
    expect(shows(await again.until(/<show>dnd<\/show><\/presence>/))).to.deep.equal(['dnd']);
  });

  it('XEP-0198 5: what is held when the server stops is sent when the session is resumed', async () => {
    const store = new MemoryStore();
    await play.stop();
    play = await serverForTests({ store });
    [juliet, romeo] = [await play.login('juliet', 'balcony'), await play.login('romeo', 'orchard')];
    juliet.send(`<enable xmlns='urn:xmpp:sm:3' resume='true'/><inactive ${CSI}/>${PING}`);
    const id = / id='([^']+)'/.exec(await julietHears(/<iq [^>]*id='ping1'[^>]*>/))![1]!;
    await romeoSends(`<message to='juliet@localhost/balcony' type='chat'><composing ${STATES}/></message>`);
    expect(juliet.received).to.not.include('<composing');
    await play.stop();
    play = await serverForTests({ store });
    const again = await play.authenticated('juliet');
    again.open();
    await again.until(/<\/stream:features>/);
    again.send(`<resume xmlns='urn:xmpp:sm:3' previd='${id}' h='1'/>`);
    await again.until(/<composing/);
  });
});
