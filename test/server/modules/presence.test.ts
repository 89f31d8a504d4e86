import { expect } from 'chai';
import { Stage, type Actor } from '../../support/core.ts';

const JULIET = 'juliet@example.com';
const ROMEO = 'romeo@example.net';
const BENVOLIO = 'benvolio@example.net';
const MERCUTIO = 'mercutio@example.org'; // on another server
/** Presence in short: `type from address`. */
function brief(stanzas: readonly string[]): string[] {
  return stanzas.map((stanza) => {
    const from = /from='([^']*)'/.exec(stanza)?.[1] ?? '';
    return `${/^<\w+[^>]* type='(\w+)'/.exec(stanza)?.[1] ?? 'available'} from ${from}`;
  });
}

describe('RFC 6121 4: presence', () => {
  let stage: Stage;
  let balcony: Actor;
  let romeo: Actor;
  let benvolio: Actor;
  /** Romeo and Juliet see each other, Mercutio and Juliet too; Benvolio knows nobody. */
  beforeEach(async () => {
    stage = await Stage.open([JULIET, ROMEO, BENVOLIO], {
      environment: { POSTHORN_LIMITS_MAX_DIRECTED_PRESENCES: '10' },
    });
    balcony = await stage.actor(`${JULIET}/balcony`);
    romeo = await stage.actor(`${ROMEO}/orchard`);
    benvolio = await stage.actor(`${BENVOLIO}/street`);
    await romeo.enter();
    await benvolio.enter();
    for (const [type, one, to] of [
      ['subscribe', balcony, ROMEO],
      ['subscribed', romeo, JULIET],
      ['subscribe', romeo, JULIET],
      ['subscribed', balcony, ROMEO],
      ['subscribe', balcony, MERCUTIO],
    ] as const) {
      await one.send(`<presence to='${to}' type='${type}'/>`);
    }
    await stage.receive(`<presence from='${MERCUTIO}' to='${JULIET}' type='subscribed'/>`);
    await stage.receive(`<presence from='${MERCUTIO}' to='${JULIET}' type='subscribe'/>`);
    await balcony.send(`<presence to='${MERCUTIO}' type='subscribed'/>`);
    for (const actor of [balcony, romeo, benvolio]) actor.take();
    stage.takeAbroad();
  });

  describe('4.2: initial presence', () => {
    it('goes to subscribers and to the own resources, itself among them, and probes those subscribed to', async () => {
      const chamber = await stage.actor(`${JULIET}/chamber`);
      await chamber.send('<presence/>');
      chamber.take();
      romeo.take();
      stage.takeAbroad();
      await balcony.send(`<presence id='pres1'><show>away</show></presence>`);
      const content = `<show>away</show></presence>`;
      expect(romeo.take()).to.deep.equal([`<presence to='${ROMEO}' from='${JULIET}/balcony' id='pres1'>${content}`]);
      expect(chamber.take()).to.deep.equal([
        `<presence to='${JULIET}/chamber' from='${JULIET}/balcony' id='pres1'>${content}`,
      ]);
      expect(brief(balcony.take())).to.have.members([
        `available from ${JULIET}/balcony`,
        `available from ${JULIET}/chamber`,
        `available from ${ROMEO}/orchard`,
      ]);
      expect(stage.takeAbroad()).to.have.members([
        `<presence to='${MERCUTIO}' from='${JULIET}/balcony' id='pres1'>${content}`,
        `<presence to='${MERCUTIO}' from='${JULIET}' type='probe'/>`,
      ]);
      expect(benvolio.take()).to.deep.equal([]);
    });

    it('3.1.2: asks another server again for a subscription that was not answered, and one that was no more', async () => {
      await balcony.send(`<presence to='tybalt@example.org' type='subscribe'/>`);
      await balcony.send(`<presence to='${BENVOLIO}' type='subscribe'/>`);
      stage.takeAbroad();
      benvolio.take();
      await balcony.send('<presence/>');
      const request = /type='subscribe'/;
      expect(stage.takeAbroad().filter((stanza) => request.test(stanza))).to.deep.equal([
        `<presence to='tybalt@example.org' from='${JULIET}' id='resent-request' type='subscribe'/>`,
      ]);
      expect(benvolio.take()).to.deep.equal([]);
      await balcony.send('<presence/>');
      await stage.receive(`<presence from='tybalt@example.org' to='${JULIET}' type='unsubscribed'/>`);
      const chamber = await stage.actor(`${JULIET}/chamber`);
      await chamber.send('<presence/>');
      expect(stage.takeAbroad().filter((stanza) => request.test(stanza))).to.deep.equal([]);
    });

    it('4.4: later presence is broadcast, and probes nobody', async () => {
      await balcony.enter();
      stage.takeAbroad();
      romeo.take();
      await balcony.send('<presence><show>dnd</show></presence>');
      expect(brief(balcony.take())).to.deep.equal([`available from ${JULIET}/balcony`]);
      expect(brief(romeo.take())).to.deep.equal([`available from ${JULIET}/balcony`]);
      expect(stage.takeAbroad()).to.have.length(1);
    });

    it('4.5.2: presence after unavailable presence is initial again', async () => {
      await balcony.enter();
      await balcony.send(`<presence type='unavailable'/>`);
      balcony.take();
      await balcony.send('<presence/>');
      expect(brief(balcony.take())).to.include(`available from ${ROMEO}/orchard`);
    });
  });

  describe('4.7.2.3: priority', () => {
    for (const [text, priority] of [
      ['127', 127],
      ['-128', -128],
      ['0', 0],
    ] as const) {
      it(`${text} is taken`, async () => {
        await balcony.send(`<presence><priority>${text}</priority></presence>`);
        expect(balcony.session.priority).to.equal(priority);
      });
    }

    for (const content of [
      '<priority>128</priority>',
      '<priority>-129</priority>',
      '<priority>high</priority>',
      '<priority>1.5</priority>',
      '<priority/>',
      '<priority>1</priority><priority>2</priority>',
    ]) {
      it(`${content} is bad-request, and nobody is told`, async () => {
        await balcony.send(`<presence>${content}</presence>`);
        const answers = balcony.take();
        expect(answers).to.have.length(1);
        expect(answers[0]).to.include('<bad-request ');
        expect(balcony.session.isAvailable).to.equal(false);
        expect(romeo.take()).to.deep.equal([]);
      });
    }

    it('is zero where there is none', async () => {
      await balcony.send('<presence/>');
      expect(balcony.session.priority).to.equal(0);
    });
  });

  it('4.7.1: an unknown type is bad-request, from a client and from another server', async () => {
    await balcony.send(`<presence type='invisible'/>`);
    expect(balcony.take().join('')).to.include('<bad-request ');
    for (const to of [JULIET, 'rosaline@example.com']) {
      await stage.receive(`<presence from='${MERCUTIO}' to='${to}' type='invisible'/>`);
      expect(stage.takeAbroad().join(''), to).to.include('<bad-request ');
    }
  });

  it('4.2.3, 4.5.3: what comes from a contact is delivered to every available resource and to no other', async () => {
    const chamber = await stage.actor(`${JULIET}/chamber`);
    await balcony.enter('<presence><priority>-1</priority></presence>');
    await stage.receive(`<presence from='${MERCUTIO}/street' to='${JULIET}'><show>away</show></presence>`);
    await stage.receive(`<presence from='${MERCUTIO}/street' to='${JULIET}' type='unavailable'/>`);
    expect(balcony.take()).to.deep.equal([
      `<presence to='${JULIET}' from='${MERCUTIO}/street'><show>away</show></presence>`,
      `<presence to='${JULIET}' from='${MERCUTIO}/street' type='unavailable'/>`,
    ]);
    expect(chamber.take()).to.deep.equal([]);
  });

  describe('4.5: unavailable presence', () => {
    it('goes with its content to the subscribers, the own resources and the resource itself', async () => {
      const chamber = await stage.actor(`${JULIET}/chamber`);
      await chamber.enter();
      await balcony.enter();
      for (const actor of [chamber, romeo]) actor.take();
      stage.takeAbroad();
      await balcony.send(`<presence type='unavailable'><status>going on vacation</status></presence>`);
      for (const [actor, to] of [
        [chamber, `${JULIET}/chamber`],
        [balcony, `${JULIET}/balcony`],
        [romeo, ROMEO],
      ] as const) {
        expect(actor.take()).to.deep.equal([
          `<presence to='${to}' from='${JULIET}/balcony' type='unavailable'><status>going on vacation</status></presence>`,
        ]);
      }
      expect(brief(stage.takeAbroad())).to.deep.equal([`unavailable from ${JULIET}/balcony`]);
    });

    it('is made by the server when the connection breaks, once', async () => {
      await balcony.enter();
      romeo.take();
      await balcony.leave();
      await balcony.leave();
      expect(romeo.take()).to.deep.equal([`<presence to='${ROMEO}' from='${JULIET}/balcony' type='unavailable'/>`]);
    });

    it('is not made for a resource that never was available', async () => {
      await balcony.leave();
      expect(romeo.take()).to.deep.equal([]);
    });
  });

  describe('4.3.2: probes', () => {
    const probe = (from: string, to = JULIET): Promise<void> =>
      stage.receive(`<presence from='${from}' id='probe1' to='${to}' type='probe'/>`);
    it('rule 4 and 4.3.2.1: a subscriber gets the last presence of each resource, with its own id', async () => {
      const chamber = await stage.actor(`${JULIET}/chamber`);
      await chamber.send(`<presence id='pres1'><show>dnd</show></presence>`);
      await balcony.send(`<presence id='pres2'><show>away</show></presence>`);
      stage.takeAbroad();
      await probe(MERCUTIO);
      expect(stage.takeAbroad()).to.have.members([
        `<presence to='${MERCUTIO}' from='${JULIET}/chamber' id='pres1'><show>dnd</show></presence>`,
        `<presence to='${MERCUTIO}' from='${JULIET}/balcony' id='pres2'><show>away</show></presence>`,
      ]);
    });

    it('rule 3: a subscriber of who is away gets unavailable from the bare JID, with the id of the probe', async () => {
      await probe(MERCUTIO);
      expect(stage.takeAbroad()).to.deep.equal([
        `<presence to='${MERCUTIO}' from='${JULIET}' id='probe1' type='unavailable'/>`,
      ]);
    });

    it('rule 3: with the time since when, also when the account has been forgotten and read again', async () => {
      stage.clock.advance(-stage.clock.now() + 1_000_000_000_000); // 2001-09-09
      const chamber = await stage.actor(`${JULIET}/chamber`);
      await chamber.enter();
      await balcony.enter();
      await balcony.leave();
      stage.clock.advance(5_000);
      await chamber.send(`<presence type='unavailable'/>`);
      await chamber.leave();
      stage.clock.advance(5_000);
      stage.takeAbroad();
      const delay = `<delay xmlns='urn:xmpp:delay' from='example.com' stamp='2001-09-09T01:46:45.000000Z'/>`;
      const answer = `<presence to='${MERCUTIO}' from='${JULIET}' id='probe1' type='unavailable'>${delay}</presence>`;
      await probe(MERCUTIO);
      expect(stage.takeAbroad()).to.deep.equal([answer]);
      await stage.core.table.retire(JULIET, () => undefined);
      await probe(MERCUTIO);
      expect(stage.takeAbroad()).to.deep.equal([answer]);
    });

    it('rule 1: a stranger gets unsubscribed from the bare JID', async () => {
      await balcony.enter();
      await probe('tybalt@example.org/house');
      expect(stage.takeAbroad().at(-1)).to.equal(
        `<presence to='tybalt@example.org' from='${JULIET}' id='probe1' type='unsubscribed'/>`,
      );
    });

    it('of a full JID tells of that resource alone, without details', async () => {
      const chamber = await stage.actor(`${JULIET}/chamber`);
      await chamber.enter();
      await balcony.enter('<presence><show>away</show></presence>');
      stage.takeAbroad();
      await probe(MERCUTIO, `${JULIET}/balcony`);
      expect(stage.takeAbroad()).to.deep.equal([`<presence to='${MERCUTIO}' from='${JULIET}/balcony'/>`]);
      await probe(MERCUTIO, `${JULIET}/tomb`);
      expect(stage.takeAbroad()).to.deep.equal([
        `<presence to='${MERCUTIO}' from='${JULIET}/tomb' id='probe1' type='unavailable'/>`,
      ]);
    });

    it('4.3: one that a client sends is answered like any other', async () => {
      await romeo.send(`<presence to='${JULIET}' type='probe'/>`);
      expect(brief(romeo.take())).to.deep.equal([`unavailable from ${JULIET}`]);
      await benvolio.send(`<presence to='${JULIET}' type='probe'/>`);
      expect(benvolio.take()).to.deep.equal([]);
      await benvolio.send(`<presence to='mercutio@example.org' type='probe'/>`);
      expect(stage.takeAbroad()).to.deep.equal([`<presence to='${MERCUTIO}' from='${BENVOLIO}/street' type='probe'/>`]);
    });

    it('of the own bare JID shows the own resources', async () => {
      await balcony.enter();
      await balcony.send(`<presence to='${JULIET}' type='probe'/>`);
      expect(brief(balcony.take())).to.deep.equal([`available from ${JULIET}/balcony`]);
    });
  });

  describe('4.6: directed presence', () => {
    it('reaches who is no subscriber, who hears of the end as well but of nothing between', async () => {
      await balcony.enter();
      await balcony.send(`<presence to='${BENVOLIO}/street'><show>chat</show></presence>`);
      await balcony.send('<presence><show>away</show></presence>');
      await balcony.send(`<presence type='unavailable'/>`);
      expect(brief(benvolio.take())).to.deep.equal([
        `available from ${JULIET}/balcony`,
        `unavailable from ${JULIET}/balcony`,
      ]);
      await balcony.leave();
      expect(benvolio.take()).to.deep.equal([]);
    });

    it('rule 3: also from a resource that is not available', async () => {
      await balcony.send(`<presence to='${BENVOLIO}'/>`);
      benvolio.take();
      await balcony.leave();
      expect(brief(benvolio.take())).to.deep.equal([`unavailable from ${JULIET}/balcony`]);
    });

    it('4.6.1: who was told directly that the resource is gone is not told again', async () => {
      await balcony.enter();
      await balcony.send(`<presence to='${BENVOLIO}'/>`);
      await balcony.send(`<presence to='${BENVOLIO}' type='unavailable'/>`);
      benvolio.take();
      await balcony.leave();
      expect(benvolio.take()).to.deep.equal([]);
    });

    it('4.6.1: who says goodbye is not told of the end', async () => {
      await balcony.enter();
      await balcony.send(`<presence to='tybalt@example.org/house'/>`);
      await stage.receive(`<presence from='tybalt@example.org/house' to='${JULIET}/balcony' type='unavailable'/>`);
      stage.takeAbroad();
      await balcony.leave();
      expect(stage.takeAbroad().join('')).not.to.include('tybalt');
    });

    it('rule 3 and 4.5.2: a subscriber who was sent presence before the broadcast is told of the end once', async () => {
      await balcony.send(`<presence to='${ROMEO}'/>`);
      await balcony.enter();
      romeo.take();
      await balcony.leave();
      expect(brief(romeo.take())).to.deep.equal([`unavailable from ${JULIET}/balcony`]);
    });

    it('rule 1: a subscriber is told of the end once', async () => {
      await balcony.enter();
      await balcony.send(`<presence to='${ROMEO}'/>`);
      romeo.take();
      await balcony.leave();
      expect(brief(romeo.take())).to.deep.equal([`unavailable from ${JULIET}/balcony`]);
    });

    it('4.6.6: a probe by who received it is answered for that resource alone, without details', async () => {
      const chamber = await stage.actor(`${JULIET}/chamber`);
      await chamber.enter();
      await balcony.send(`<presence to='lobby@chat.example.org/j'><show>chat</show></presence>`);
      await stage.receive(`<presence from='tybalt@example.org' to='${JULIET}/balcony' type='probe'/>`);
      expect(brief(stage.takeAbroad()).at(-1)).to.equal(`unsubscribed from ${JULIET}`);
      await balcony.send(`<presence to='tybalt@example.org'><show>chat</show></presence>`);
      stage.takeAbroad();
      await stage.receive(`<presence from='tybalt@example.org' to='${JULIET}/balcony' type='probe'/>`);
      expect(stage.takeAbroad()).to.deep.equal([`<presence to='tybalt@example.org' from='${JULIET}/balcony'/>`]);
      await stage.receive(`<presence from='tybalt@example.org' to='${JULIET}/chamber' type='probe'/>`);
      expect(brief(stage.takeAbroad())).to.deep.equal([`unsubscribed from ${JULIET}`]);
    });

    it('goes to a bounded number of addresses', async () => {
      for (let n = 0; n < 10; n++) await balcony.send(`<presence to='guest-${n}@example.org'/>`);
      expect(balcony.take()).to.deep.equal([]);
      await balcony.send(`<presence to='guest-10@example.org'/>`);
      expect(balcony.take().join('')).to.include('<policy-violation ');
      await balcony.send(`<presence to='guest-3@example.org'/>`);
      expect(balcony.take()).to.deep.equal([]);
    });
  });

  describe('8.5.3.1: requests to a resource', () => {
    const ask = async (actor: Actor, to = `${JULIET}/balcony`): Promise<string> => {
      actor.take();
      await actor.send(`<iq id='v' to='${to}' type='get'><query xmlns='jabber:iq:version'/></iq>`);
      return actor.take().join('');
    };

    it('of a subscriber and of the owner are delivered', async () => {
      const chamber = await stage.actor(`${JULIET}/chamber`);
      for (const actor of [romeo, chamber]) {
        expect(await ask(actor)).to.equal('');
        expect(balcony.take().join('')).to.include('jabber:iq:version');
      }
    });

    it('of a stranger are refused exactly as if the resource were not there', async () => {
      await balcony.enter();
      const there = await ask(benvolio);
      expect(there).to.include('<service-unavailable ');
      expect(balcony.take()).to.deep.equal([]);
      const absent = await ask(benvolio, `${JULIET}/tomb`);
      expect(there.replace('/balcony', '/tomb')).to.equal(absent);
    });

    it('of who received directed presence are delivered, also of others in the same room', async () => {
      await balcony.send(`<presence to='${BENVOLIO}'/>`);
      expect(await ask(benvolio)).to.equal('');
      await balcony.send(`<presence to='lobby@chat.example.com/j'/>`);
      balcony.take();
      await stage.receive(
        `<iq id='v' from='lobby@chat.example.com/romeo' to='${JULIET}/balcony' type='get'><query xmlns='jabber:iq:version'/></iq>`,
      );
      expect(balcony.take().join('')).to.include(`from='lobby@chat.example.com/romeo'`);
    });

    it('answers reach the resource from everybody', async () => {
      await benvolio.send(`<iq id='v' to='${JULIET}/balcony' type='result'/>`);
      expect(balcony.take()).to.have.length(1);
    });
  });

  describe('XEP-0160 2: what waited', () => {
    it('is delivered after the presence that made the resource available, and not to a negative priority', async () => {
      await romeo.send(`<message to='${JULIET}' type='chat'><body>But soft</body></message>`);
      await balcony.send('<presence><priority>-1</priority></presence>');
      expect(balcony.take().join('')).not.to.include('But soft');
      await balcony.send('<presence/>');
      const stanzas = balcony.take();
      expect(stanzas.at(-1)).to.include('But soft');
      expect(stanzas[0]).to.include('<presence ');
    });
  });
});
