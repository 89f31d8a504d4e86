import { expect } from 'chai';
import { Stage, type Actor } from '../../support/core.ts';

const JULIET = 'juliet@example.com';
const ROMEO = 'romeo@example.net';
/** The stanzas in short: `type from address` of presence, `push attributes` of a roster push. */
function brief(stanzas: readonly string[]): string[] {
  return stanzas.map((stanza) => {
    const item = /<item ([^>]*?)\/?>/.exec(stanza);
    if (item !== null) return `push ${item[1]?.replaceAll("'", '') ?? ''}`;
    const from = /from='([^']*)'/.exec(stanza)?.[1] ?? '';
    const type = /^<\w+[^>]* type='(\w+)'/.exec(stanza)?.[1] ?? 'available';
    return `${type} from ${from}`;
  });
}

describe('RFC 6121 3: presence subscriptions', () => {
  let stage: Stage;
  let romeo: Actor;
  let juliet: Actor;
  beforeEach(async () => {
    stage = await Stage.open([JULIET, ROMEO]);
    romeo = await stage.actor(`${ROMEO}/orchard`);
    juliet = await stage.actor(`${JULIET}/balcony`);
    await romeo.enter();
    await juliet.enter(`<presence id='pw72bc5j'><show>away</show></presence>`);
  });

  const roster = async (actor: Actor): Promise<string> => {
    actor.take();
    await actor.send(`<iq id='get' type='get'><query xmlns='jabber:iq:roster'/></iq>`);
    return actor.take().join('');
  };

  const subscribe = async () => {
    await romeo.send(`<presence to='${JULIET}' type='subscribe'/>`);
    await juliet.send(`<presence to='${ROMEO}' type='subscribed'/>`);
    romeo.take();
    juliet.take();
  };

  it('3.1.2: a request goes out from the bare JID to the bare JID, and is pushed as pending', async () => {
    await romeo.send(`<presence id='xk3h1v69' to='${JULIET}/balcony' type='subscribe'><status>Hi</status></presence>`);
    expect(juliet.take()).to.deep.equal([
      `<presence to='${JULIET}' from='${ROMEO}' id='xk3h1v69' type='subscribe'><status>Hi</status></presence>`,
    ]);
    expect(brief(romeo.take())).to.deep.equal([`push jid=${JULIET} subscription=none ask=subscribe`]);
  });

  it('3.1.3: a request alone does not add its sender to the roster', async () => {
    await romeo.send(`<presence to='${JULIET}' type='subscribe'/>`);
    expect(brief(juliet.take())).to.deep.equal([`subscribe from ${ROMEO}`]);
    expect(await roster(juliet)).not.to.include(ROMEO);
  });

  it('A.1, state 3: a contact whom the user has added stays in the roster while its request waits', async () => {
    await juliet.send(`<iq id='s' type='set'><query xmlns='jabber:iq:roster'><item jid='${ROMEO}'/></query></iq>`);
    await romeo.send(`<presence to='${JULIET}' type='subscribe'/>`);
    expect(await roster(juliet)).to.include(`<item jid='${ROMEO}' subscription='none'/>`);
  });

  it('3.1.5, 3.1.6: an approval goes before its push, and presence comes after', async () => {
    await romeo.send(`<presence to='${JULIET}' type='subscribe'/>`);
    romeo.take();
    juliet.take();
    const chamber = await stage.actor(`${JULIET}/chamber`);
    await chamber.enter();
    juliet.take();
    await juliet.send(`<presence id='h4v1c4kj' to='${ROMEO}' type='subscribed'/>`);
    const received = romeo.take();
    expect(brief(received)).to.deep.equal([
      `subscribed from ${JULIET}`,
      `push jid=${JULIET} subscription=to`,
      `available from ${JULIET}/balcony`,
      `available from ${JULIET}/chamber`,
    ]);
    expect(received[0]).to.include(`id='h4v1c4kj'`);
    expect(received[2]).to.include(`id='pw72bc5j'`).and.include('<show>away</show>');
    expect(brief(juliet.take())).to.deep.equal([`push jid=${ROMEO} subscription=from`]);
  });

  it('3.1.3, rule 4: a request waits for who is away, complete, once, at every login until it is answered', async () => {
    await juliet.leave();
    const request = `<presence id='xk3h1v69' to='${JULIET}' type='subscribe'><status>Hi</status></presence>`;
    await romeo.send(request);
    await romeo.send(`<presence id='again' to='${JULIET}' type='subscribe'/>`);
    for (const resource of ['chamber', 'garden']) {
      const actor = await stage.actor(`${JULIET}/${resource}`);
      await actor.send('<presence/>');
      const requests = actor.take().filter((stanza) => stanza.includes(`type='subscribe'`));
      expect(requests).to.deep.equal([
        `<presence to='${JULIET}' from='${ROMEO}' id='xk3h1v69' type='subscribe'><status>Hi</status></presence>`,
      ]);
    }

    const garden = await stage.actor(`${JULIET}/cell`);
    await garden.send(`<presence to='${ROMEO}' type='unsubscribed'/>`);
    await garden.send('<presence/>');
    expect(garden.take().join('')).not.to.include(`type='subscribe'`);
  });

  it('3.1.3, rule 4: the request is still there when the account has been forgotten and read again', async () => {
    await juliet.leave();
    await romeo.send(`<presence id='xk3h1v69' to='${JULIET}' type='subscribe'/>`);
    await stage.core.table.retire(JULIET, () => undefined);
    const chamber = await stage.actor(`${JULIET}/chamber`);
    await chamber.send('<presence/>');
    expect(brief(chamber.take())).to.include(`subscribe from ${ROMEO}`);
    expect(await roster(chamber)).not.to.include(ROMEO);
  });

  it('3.1.3, security warning: a bounded number of strangers may wait, and they take no room from contacts', async () => {
    for (let n = 0; n < 250; n++) {
      await stage.receive(`<presence from='stranger-${n}@example.org' to='${JULIET}' type='subscribe'/>`);
    }
    expect(stage.takeAbroad()).to.deep.equal([]);
    juliet.take();
    await stage.receive(`<presence from='one-more@example.org' to='${JULIET}' type='subscribe'/>`);
    expect([...juliet.take(), ...stage.takeAbroad()]).to.deep.equal([]);
    await juliet.send(`<presence to='${ROMEO}' type='subscribe'/>`);
    expect(brief(juliet.take())).to.include(`push jid=${ROMEO} subscription=none ask=subscribe`);
  }).timeout(2e4);
  it('3.1.3, rule 2: who is subscribed already is answered in the name of the contact', async () => {
    await subscribe();
    await stage.receive(`<presence id='xk3h1v69' from='${ROMEO}' to='${JULIET}' type='subscribe'/>`);
    expect(juliet.take()).to.deep.equal([]);
    await stage.receive(`<presence from='mercutio@example.org' to='${JULIET}' type='subscribe'/>`);
    await juliet.send(`<presence to='mercutio@example.org' type='subscribed'/>`);
    stage.takeAbroad();
    await stage.receive(`<presence id='xk3h1v69' from='mercutio@example.org' to='${JULIET}' type='subscribe'/>`);
    expect(brief(stage.takeAbroad())).to.deep.equal([`subscribed from ${JULIET}`, `available from ${JULIET}/balcony`]);
  });

  it('3.1.6: an approval nobody asked for is ignored', async () => {
    await stage.receive(`<presence from='${JULIET}' to='${ROMEO}' type='subscribed'/>`);
    expect(romeo.take()).to.deep.equal([]);
    expect(await roster(romeo)).not.to.include(JULIET);
  });

  it('3.1.4: a refusal takes the pending state back, and shows the stranger no resource', async () => {
    await romeo.send(`<presence to='${JULIET}' type='subscribe'/>`);
    romeo.take();
    juliet.take();
    await juliet.send(`<presence to='${ROMEO}' type='unsubscribed'/>`);
    expect(brief(romeo.take())).to.deep.equal([`unsubscribed from ${JULIET}`, `push jid=${JULIET} subscription=none`]);
    expect(juliet.take()).to.deep.equal([]);
    expect(await roster(juliet)).not.to.include(ROMEO);
  });

  it('3.2: a cancellation shows every resource unavailable, then says so, then pushes', async () => {
    await subscribe();
    await juliet.send(`<presence to='${ROMEO}' type='unsubscribed'/>`);
    expect(brief(romeo.take())).to.deep.equal([
      `unavailable from ${JULIET}/balcony`,
      `unsubscribed from ${JULIET}`,
      `push jid=${JULIET} subscription=none`,
    ]);
    expect(brief(juliet.take())).to.deep.equal([`push jid=${ROMEO} subscription=none`]);
    await juliet.send('<presence/>');
    expect(romeo.take()).to.deep.equal([]);
  });

  it('3.3: unsubscribing tells the contact, who answers with unavailable and unsubscribed', async () => {
    await subscribe();
    await romeo.send(`<presence id='ul4bs71n' to='${JULIET}' type='unsubscribe'/>`);
    expect(brief(juliet.take())).to.deep.equal([`unsubscribe from ${ROMEO}`, `push jid=${ROMEO} subscription=none`]);
    expect(brief(romeo.take())).to.deep.equal([
      `push jid=${JULIET} subscription=none`,
      `unavailable from ${JULIET}/balcony`,
    ]);
  });

  it('3.3.3: withdrawing a request removes its record, and shows the stranger no resource', async () => {
    await stage.receive(`<presence from='mercutio@example.org' to='${JULIET}' type='subscribe'/>`);
    await stage.receive(`<presence from='mercutio@example.org' to='${JULIET}' type='unsubscribe'/>`);
    expect(stage.takeAbroad()).to.deep.equal([]);
    const chamber = await stage.actor(`${JULIET}/chamber`);
    await chamber.send('<presence/>');
    expect(chamber.take().join('')).not.to.include('mercutio');
  });

  it('3.4: a pre-approval is pushed, not sent, and answers the request when it comes', async () => {
    await juliet.send(`<presence id='pg81vx64' to='${ROMEO}' type='subscribed'/>`);
    expect(romeo.take()).to.deep.equal([]);
    expect(brief(juliet.take())).to.deep.equal([`push jid=${ROMEO} subscription=none approved=true`]);
    await romeo.send(`<presence to='${JULIET}' type='subscribe'/>`);
    expect(brief(juliet.take())).to.deep.equal([`push jid=${ROMEO} subscription=from approved=true`]);
    expect(brief(romeo.take())).to.include.members([
      `subscribed from ${JULIET}`,
      `push jid=${JULIET} subscription=to`,
      `available from ${JULIET}/balcony`,
    ]);
  });

  it('3.2.2, rule 2: a pre-approval is withdrawn without a word to the contact', async () => {
    await juliet.send(`<presence to='${ROMEO}' type='subscribed'/>`);
    juliet.take();
    await juliet.send(`<presence to='${ROMEO}' type='unsubscribed'/>`);
    expect(brief(juliet.take())).to.deep.equal([`push jid=${ROMEO} subscription=none`]);
    expect(romeo.take()).to.deep.equal([]);
  });

  it('is to somebody else, with an address', async () => {
    await juliet.send(`<presence to='${JULIET}' type='subscribe'/>`);
    await juliet.send(`<presence type='subscribe'/>`);
    const answers = juliet.take();
    expect(answers).to.have.length(2);
    for (const answer of answers) expect(answer).to.include('<bad-request ');
  });

  it('8.5.3.2.2: an approval for a resource that is not there is ignored', async () => {
    await romeo.send(`<presence to='mercutio@example.org' type='subscribe'/>`);
    romeo.take();
    await stage.receive(`<presence from='mercutio@example.org' to='${ROMEO}/tomb' type='subscribed'/>`);
    expect(romeo.take()).to.deep.equal([]);
    await stage.receive(`<presence from='mercutio@example.org' to='${ROMEO}/orchard' type='subscribed'/>`);
    expect(brief(romeo.take())).to.include('push jid=mercutio@example.org subscription=to');
  });

  describe('3.2.2, 3.3.3, 4.5.2: a resource that ends while the subscription is being ended', () => {
    beforeEach(subscribe);

    for (const [what, end] of [
      ['by a cancellation', () => stage.put(juliet.session, `<presence type='unsubscribed' to='${ROMEO}'/>`)],
      ['by unsubscribing', () => stage.put(romeo.session, `<presence type='unsubscribe' to='${JULIET}'/>`)],
      [
        'by removing the contact',
        () =>
          stage.put(
            juliet.session,
            `<iq id='r' type='set'><query xmlns='jabber:iq:roster'><item jid='${ROMEO}' subscription='remove'/></query></iq>`,
          ),
      ],
    ] as const) {
      it(`${what} is seen to go, once`, async () => {
        end();
        if (what === 'by unsubscribing') while (!changing()) await new Promise((resolve) => setImmediate(resolve));
        await juliet.leave();
        const gone = romeo.take().filter((stanza) => stanza.includes(`type='unavailable'`));
        expect(brief(gone)).to.deep.equal([`unavailable from ${JULIET}/balcony`]);
      });
    }
    /** Whether Juliet's side is storing something. */
    const changing = (): boolean => !juliet.session.account.received.isIdle;
  });
});
