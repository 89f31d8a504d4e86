import { expect } from 'chai';

import { StreamError } from '../../../stanzas/stream-error.ts';
import { header, nextTurn, StreamStage, type StreamPlayer } from '../../support/stream-stage.ts';

describe('server/streams: closing (RFC 6120 4.4)', () => {
  let stage: StreamStage;

  beforeEach(async () => {
    stage = await StreamStage.open();
  });

  async function entered(username = 'juliet', resource = 'balcony'): Promise<StreamPlayer> {
    const client = stage.connectSecurely();
    await client.enter(username, resource);
    return client;
  }

  it('is answered in kind, and the connection closed in our direction', async () => {
    const juliet = await entered();
    juliet.send('</stream:stream>');
    expect(juliet.sent).to.equal('</stream:stream>');
    expect(juliet.connection.ended).to.equal(true);
    expect(juliet.connection.destroyed).to.equal(false);
    expect(stage.core.table.sessionCount).to.equal(0);
    juliet.connection.close();
    expect(stage.context.streams.size).to.equal(0);
  });

  it('is known to be in order, which a connection that breaks is not: only that may have lost an acknowledgement', async () => {
    for (const isInOrder of [true, false]) {
      const juliet = await entered();
      const [session] = [...stage.core.table.sessions()];
      if (isInOrder) juliet.send('</stream:stream>');
      juliet.connection.close();
      expect(stage.core.table.sessionCount).to.equal(0);
      expect(session?.isClosedInOrder).to.equal(isInOrder);
    }
  });

  for (const [what, prepare] of [
    ['before anybody has logged in', (client: StreamPlayer) => client.open()],
    [
      'before a resource is bound',
      async (client: StreamPlayer) => {
        await client.logIn('juliet');
        await client.open();
      },
    ],
  ] as const) {
    it(`is answered ${what}`, async () => {
      const client = stage.connectSecurely();
      await prepare(client);
      client.send('</stream:stream>');
      expect(client.sent).to.equal('</stream:stream>');
      expect(client.connection.ended).to.equal(true);
    });
  }

  it('delivers what came before it, and tells contacts who leave without saying so', async () => {
    const romeo = await entered('romeo', 'orchard');
    romeo.send('<presence/>');
    const juliet = await entered();
    juliet.send(
      `<presence to='romeo@capulet.example/orchard'/>` +
        `<message to='romeo@capulet.example/orchard'><body>Good night, good night!</body></message></stream:stream>`,
    );
    await romeo.until(/Good night, good night!<\/body>/);
    expect(await romeo.until(/<presence [^>]*type='unavailable'[^>]*>/)).to.include(
      `from='juliet@capulet.example/balcony'`,
    );
  });

  it('ends the session of who breaks off without a word', async () => {
    const romeo = await entered('romeo', 'orchard');
    romeo.send('<presence/>');
    const juliet = await entered();
    juliet.send(`<presence to='romeo@capulet.example/orchard'/>`);
    await romeo.until(/<presence from='juliet[^>]*>|<presence [^>]*from='juliet[^>]*>/);
    juliet.connection.close(new Error('ECONNRESET'));
    await romeo.until(/<presence [^>]*type='unavailable'[^>]*>/);
    expect(stage.core.table.sessionCount).to.equal(1);
  });

  describe('from our side', () => {
    const SHUTDOWN = new StreamError('system-shutdown');

    it('sends the error, the end, and then nothing more', async () => {
      const [juliet, romeo] = [await entered(), await entered('romeo', 'orchard')];
      juliet.stream.closeWithError(SHUTDOWN);
      romeo.send(`<message to='juliet@capulet.example/balcony'><body>Juliet!</body></message>`);
      await romeo.fence();
      expect(await juliet.refusal()).to.equal('system-shutdown');
    });

    it('says so once', async () => {
      const juliet = await entered();
      juliet.stream.closeWithError(SHUTDOWN);
      juliet.stream.closeWithError(new StreamError('conflict'));
      juliet.stream.close();
      expect(await juliet.refusal()).to.equal('system-shutdown');
      expect(juliet.sent.match(/<stream:error/g)).to.have.length(1);
    });

    it('takes nothing for sent that comes afterwards (4.9.1.1)', async () => {
      const [juliet, romeo] = [await entered(), await entered('romeo', 'orchard')];
      juliet.stream.closeWithError(SHUTDOWN);
      juliet.send(`<message to='romeo@capulet.example/orchard'><body>Romeo!</body></message>`);
      expect(await romeo.fence()).not.to.include('<message');
    });

    it('waits for the end of the client’s side, but not for ever', async () => {
      const juliet = await entered();
      juliet.stream.closeWithError(SHUTDOWN);
      stage.pass(5);
      expect(juliet.connection.destroyed).to.equal(false);
      stage.pass(1);
      expect(juliet.connection.destroyed).to.equal(true);
      expect(stage.context.streams.size).to.equal(0);
    });

    it('does not cut off what the client has not been given yet when the client ends its side as well', async () => {
      const juliet = await entered();
      juliet.connection.stalledBytes = 100_000;
      juliet.stream.closeWithError(SHUTDOWN);
      juliet.send('</stream:stream>');
      expect(juliet.connection.destroyed).to.equal(false);
      juliet.connection.close();
      expect(stage.context.streams.size).to.equal(0);
    });

    it('opens a stream for the error where none was open (4.9.1.2)', async () => {
      const client = stage.connect();
      client.stream.closeWithError(SHUTDOWN);
      expect(await client.refusal()).to.equal('system-shutdown');
      expect(client.sent).to.match(/^<\?xml version='1.0'\?><stream:stream /);
    });

    it('opens a stream for the error between <success/> and the new header', async () => {
      const client = stage.connectSecurely();
      await client.logIn('juliet');
      client.stream.closeWithError(SHUTDOWN);
      expect(await client.refusal()).to.equal('system-shutdown');
      expect(client.sent).to.match(/^<\?xml version='1.0'\?><stream:stream /);
    });

    it('is not undone by a login that ends afterwards', async () => {
      const client = stage.connectSecurely();
      await client.open();
      client.send(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGp1bGlldAB4</auth>`);
      client.stream.closeWithError(SHUTDOWN);
      for (let turn = 0; turn < 50; turn++) await nextTurn();
      client.send(header());
      expect(await client.refusal()).to.equal('system-shutdown');
      expect(client.sent).not.to.match(/<failure|<success/);
    });
  });

  it('follows an error that the client reports, without an error of ours (4.9.1.1)', async () => {
    const juliet = await entered();
    juliet.send(
      `<stream:error><unsupported-feature xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>`,
    );
    expect(juliet.sent).to.equal('</stream:stream>');
    expect(stage.core.table.sessionCount).to.equal(0);
  });

  it('is not possible before the stream is open', async () => {
    const client = stage.connect();
    client.send('</stream:stream>');
    expect(await client.refusal()).to.equal('not-well-formed');
  });

  it('is the end of a header that is an empty element', async () => {
    const client = stage.connect();
    client.send(header().replace(/>$/, '/>'));
    await client.until(/<\/stream:features><\/stream:stream>$/);
    expect(client.connection.ended).to.equal(true);
  });

  it('refuses whatever else comes only once, in the log as on the stream', async () => {
    const lines: string[] = [];
    const log = { debug: note, info: note, warn: note, error: note };
    function note(_about: unknown, text: string): void {
      lines.push(text);
    }
    stage = await StreamStage.open({ log });
    const juliet = await entered();
    lines.length = 0;
    for (let count = 0; count < 1000; count++) juliet.send('<a></b>');
    expect(await juliet.refusal()).to.equal('not-well-formed');
    expect(lines).to.deep.equal(['stream refused']);
  });
});
