import { expect } from 'chai';

import { userPasswd } from '../../../server/admin/commands/users.ts';
import { credentialsToText } from '../../../server/admin/scram-text.ts';
import { deriveCredentials } from '../../../server/sasl/scram-keys.ts';
import { serverForTests } from '../../support/running-server.ts';
import { nextTurn, plainAuth, StreamStage, type StreamPlayer } from '../../support/stream-stage.ts';
import { tokenMessages } from '../../support/token-client.ts';

const JULIET = 'juliet@capulet.example';
const AGENT = `<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'/>`;
const FAST = 'urn:xmpp:fast:0';

const otherKeys = () => deriveCredentials('a rose', { iterations: 4096, random: (length) => new Uint8Array(length) });

describe('a password that is changed while somebody logs in by the old one', () => {
  /** Somebody at the same address has guessed wrong, and it is somebody else's turn. */
  async function guess({ clock, context }: StreamStage): Promise<void> {
    const { throttle } = context.sasl;
    const failed = throttle.failed('192.0.2.1', JULIET);
    clock.advance(10_000);
    await failed;
    await throttle.admit('192.0.2.1', JULIET);
  }

  /** Sends what logs in, changes the password while the attempt waits, and lets time pass; what the client hears. */
  async function overtake(stage: StreamStage, client: StreamPlayer, request: string, change: boolean): Promise<string> {
    client.send(request);
    while (stage.context.sasl.throttle.waiting === 0) await nextTurn();
    if (change) {
      const credentials = await otherKeys();
      await stage.storage.accounts.update(JULIET, (record) => ({ ...record, credentials }));
    }
    while (!/<(?:failure|success) /.test(client.sent)) {
      stage.clock.advance(100);
      await nextTurn();
    }
    return client.sent;
  }

  for (const change of [true, false]) {
    it(`${change ? 'keeps out' : 'or is not: lets in'} who waited for a turn with it`, async () => {
      const stage = await StreamStage.open({ environment: { POSTHORN_SASL_FREE_FAILURES: '0' } });
      await guess(stage);
      const client = stage.connectSecurely();
      await client.open();
      const heard = await overtake(stage, client, plainAuth('juliet'), change);
      expect(heard).to.include(change ? '<not-authorized' : '<success');
    });

    it(`${change ? 'keeps out' : 'or is not: lets in'} who waited with a token that was given under it (XEP-0484)`, async () => {
      const stage = await StreamStage.open({ environment: { POSTHORN_SASL_FREE_FAILURES: '0' } });
      const first = stage.connectSecurely();
      await first.open();
      const message = Buffer.from(`\0juliet\0wherefore-art-thou`).toString('base64');
      first.send(
        `<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>${message}</initial-response>${AGENT}` +
          `<request-token xmlns='${FAST}' mechanism='HT-SHA-256-NONE'/></authenticate>`,
      );
      const token = / token='([^']+)'/.exec(await first.until(/<success .*?<\/success>/))?.[1] ?? '';
      await guess(stage);
      const again = stage.connectSecurely();
      await again.open();
      const request =
        `<authenticate xmlns='urn:xmpp:sasl:2' mechanism='HT-SHA-256-NONE'><initial-response>` +
        `${tokenMessages('juliet', token).initial}</initial-response>${AGENT}<fast xmlns='${FAST}'/></authenticate>`;
      expect(await overtake(stage, again, request, change)).to.include(change ? '<not-authorized' : '<success');
    });
  }

  it('ends a stream that has logged in and not bound a resource, as it ends sessions', async () => {
    const play = await serverForTests();
    try {
      const [early, romeo] = [await play.authenticated('juliet'), await play.authenticated('romeo')];
      early.open();
      await early.until(/<\/stream:features>/);
      const { operations } = play.server;
      const context = {
        config: operations.config,
        storage: operations.storage,
        server: operations,
        requestStop: undefined,
        now: () => 0,
      };
      await userPasswd.run(context, { jid: 'juliet@localhost', keys: credentialsToText(await otherKeys()) });
      expect(await early.until(/<\/stream:stream>/)).to.include('<not-authorized ');
      await romeo.bind('orchard');
    } finally {
      await play.stop();
    }
  });
});
