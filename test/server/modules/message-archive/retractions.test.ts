import { expect } from 'chai';
import { Stage, type Actor } from '../../../support/core.ts';

const ROMEO = 'romeo@example.net';
const LORD = 'lord@example.com';
const SECRET = 'Have not saints lips, and holy palmers too?';

describe('retracted messages in the archive (XEP-0424)', () => {
  let stage: Stage;
  let romeo: Actor;
  let lord: Actor;

  beforeEach(async () => {
    stage = await Stage.open([ROMEO, LORD, 'tybalt@example.com']);
    romeo = await stage.actor(`${ROMEO}/orchard`);
    lord = await stage.actor(`${LORD}/chamber`);
    await romeo.enter();
    await lord.enter();
    await romeo.send(`<message type='chat' to='${LORD}' id='wrong-recipient-1'><body>${SECRET}</body></message>`);
    await romeo.send(`<message type='chat' to='${LORD}' id='other'><body>another</body></message>`);
  });

  const retraction = (to: string, id: string): string =>
    `<message type='chat' to='${to}' id='retract-message-1'><retract id='${id}' xmlns='urn:xmpp:message-retract:1'/><body>/me retracted a previous message</body><store xmlns='urn:xmpp:hints'/></message>`;

  async function archiveOf(owner: string): Promise<string[]> {
    await stage.settle();
    return (await stage.storage.log.page(owner, { limit: 10 })).map(({ stanza }) => stanza);
  }

  it('Examples 3 and 6: leave a tombstone on both sides, and the retraction', async () => {
    await romeo.send(retraction(LORD, 'wrong-recipient-1'));
    for (const owner of [ROMEO, LORD]) {
      const [first, ...more] = await archiveOf(owner);
      expect(first).to.match(
        /^<message xmlns='jabber:client' to='lord@example.com' from='romeo@example.net\/orchard' id='wrong-recipient-1' type='chat'><retracted xmlns='urn:xmpp:message-retract:1' id='retract-message-1' stamp='[^']+Z'\/><\/message>$/,
      );
      expect(more).to.have.lengthOf(2);
      expect(more.join('')).to.include('another').and.to.include('<retract ');
    }
  });

  it('keep their id, number and time, so that queries stay the same (XEP-0313 3.2)', async () => {
    const before = await stage.storage.log.page(LORD, { limit: 1 });
    const { bytes } = await stage.storage.retention.usage(LORD);
    await romeo.send(retraction(LORD, 'wrong-recipient-1'));
    await stage.settle();
    const [after] = await stage.storage.log.page(LORD, { limit: 1 });
    expect({ ...after, stanza: '' }).to.deep.equal({ ...before[0]!, stanza: '' });
    const usage = await stage.storage.retention.usage(LORD);
    expect(usage.count).to.equal(3);
    expect(usage.bytes).to.not.equal(bytes);
    const whole = (await archiveOf(LORD)).reduce((sum, stanza) => sum + stanza.length, 0);
    expect(usage.bytes).to.equal(whole);
  });

  it('6: are retracted by nobody but their author, and in their chat', async () => {
    const tybalt = await stage.actor('tybalt@example.com/hall');
    await lord.send(retraction(ROMEO, 'wrong-recipient-1'));
    await tybalt.send(retraction(LORD, 'wrong-recipient-1'));
    await romeo.send(retraction('tybalt@example.com', 'wrong-recipient-1'));
    await romeo.send(retraction(LORD, 'unknown'));
    for (const owner of [ROMEO, LORD]) expect((await archiveOf(owner)).join('')).to.include(SECRET);
  });

  it('3: are announced', async () => {
    await romeo.send(
      `<iq type='get' to='${ROMEO}' id='info1'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`,
    );
    expect(romeo.take().at(-1))
      .to.include(`<feature var='urn:xmpp:message-retract:1'/>`)
      .and.to.include(`<feature var='urn:xmpp:message-retract:1#tombstone'/>`);
  });
});
