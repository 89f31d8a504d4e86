import { expect } from 'chai';

import { header, StreamStage, type StreamPlayer } from '../../support/stream-stage.ts';

describe('server/streams: silent and slow clients (RFC 6120 4.6)', () => {
  let stage: StreamStage;

  beforeEach(async () => {
    stage = await StreamStage.open();
  });

  async function entered(username = 'juliet', resource = 'balcony'): Promise<StreamPlayer> {
    const client = stage.connectSecurely();
    await client.enter(username, resource);
    return client;
  }

  describe('a login that takes too long ends with connection-timeout', () => {
    const steps: readonly (readonly [what: string, (client: StreamPlayer) => unknown])[] = [
      ['where nothing comes', () => undefined],
      ['where half a header comes', (client) => client.send(header().slice(0, -1))],
      ['where a header comes and nothing else', (client) => client.open()],
      [
        'in the middle of SASL',
        async (client) => {
          await client.open();
          client.send(
            `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-1'>biwsbj1qdWxpZXQscj1h</auth>`,
          );
          await client.until(/<challenge/);
        },
      ],
      ['before the new header', (client) => client.logIn('juliet')],
      [
        'before a resource is bound',
        async (client) => {
          await client.logIn('juliet');
          await client.open();
        },
      ],
    ];
    for (const [what, step] of steps) {
      it(what, async () => {
        const client = stage.connectSecurely();
        await step(client);
        stage.pass(30);
        expect(client.connection.ended).to.equal(false);
        stage.pass(1);
        expect(await client.refusal()).to.equal('connection-timeout');
        stage.pass(6);
        expect(client.connection.destroyed).to.equal(true);
        expect(stage.context.streams.size).to.equal(0);
      });
    }

    it('however busy the client is meanwhile, byte by byte', () => {
      const client = stage.connect();
      for (const byte of header().padEnd(31, ' ').slice(0, 31)) {
        client.send(byte);
        stage.pass(1);
      }
      expect(client.connection.ended).to.equal(true);
    });

    it('under the time that is configured', async () => {
      stage = await StreamStage.open({ environment: { POSTHORN_C2S_AUTHENTICATION_TIMEOUT_SECONDS: '5' } });
      const client = stage.connect();
      stage.pass(6);
      expect(await client.refusal()).to.equal('connection-timeout');
    });
  });

  describe('a client that is silent for long', () => {
    const PING = /<iq from='capulet\.example' id='([^']*)' type='get'><ping xmlns='urn:xmpp:ping'\/><\/iq>/;

    it('is pinged once, and stays if it answers (4.6.2, XEP-0199)', async () => {
      const juliet = await entered();
      stage.pass(900);
      expect(juliet.sent).to.equal('');
      stage.pass(30);
      const id = PING.exec(await juliet.until(PING))?.[1] ?? '';
      expect(juliet.sent).to.equal('');
      juliet.send(`<iq id='${id}' type='result' to='capulet.example'/>`);
      stage.pass(900);
      expect(juliet.connection.ended).to.equal(false);
      stage.pass(1);
      expect(PING.exec(juliet.sent)?.[1]).not.to.equal(id);
    });

    it('stays if it answers with an error, or with anything', async () => {
      for (const answer of [`<iq id='x' type='error' to='capulet.example'/>`, '<presence/>']) {
        const juliet = await entered();
        stage.pass(901);
        await juliet.until(PING);
        juliet.send(answer);
        stage.pass(100);
        expect(juliet.connection.ended).to.equal(false);
        juliet.connection.close();
      }
    });

    it('is gone with connection-timeout if it does not (4.9.3.4)', async () => {
      const juliet = await entered();
      stage.pass(960);
      expect(juliet.connection.ended).to.equal(false);
      stage.pass(1);
      expect(await juliet.refusal()).to.equal('connection-timeout');
      expect(stage.core.table.sessionCount).to.equal(0);
    });

    it('is not silent while it sends white space (4.6.1, 11.7), which is not answered', async () => {
      const juliet = await entered();
      for (let count = 0; count < 20; count++) {
        stage.pass(300);
        juliet.send(count % 2 === 0 ? ' ' : '\n');
      }
      expect(juliet.sent).to.equal('');
      expect(await juliet.fence()).to.match(/^<iq [^>]*type='result'/);
    });

    it('is asked for its count where it acknowledges, which is as good as a ping (XEP-0198)', async () => {
      const juliet = await entered();
      juliet.send(`<enable xmlns='urn:xmpp:sm:3'/>`);
      await juliet.until(/<enabled[^>]*>/);
      stage.pass(901);
      expect(juliet.sent).to.equal(`<r xmlns='urn:xmpp:sm:3'/>`);
      juliet.send(`<a xmlns='urn:xmpp:sm:3' h='0'/>`);
      stage.pass(900);
      expect(juliet.connection.ended).to.equal(false);
    });
  });
});
