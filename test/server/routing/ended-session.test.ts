import { expect } from 'chai';
import { Stage, type Actor } from '../../support/core.ts';

const JULIET = 'juliet@example.com';
const ROMEO = 'romeo@example.net';

describe('what a session has sent when it ends', () => {
  let stage: Stage;
  let balcony: Actor;
  let romeo: Actor;
  /** Romeo sees Juliet. */
  beforeEach(async () => {
    stage = await Stage.open([JULIET, ROMEO]);
    balcony = await stage.actor(`${JULIET}/balcony`);
    romeo = await stage.actor(`${ROMEO}/orchard`);
    await romeo.enter();
    await romeo.send(`<presence to='${JULIET}' type='subscribe'/>`);
    await balcony.send(`<presence to='${ROMEO}' type='subscribed'/>`);
    balcony.take();
    romeo.take();
    stage.takeAbroad();
  });

  /** The session ends while this waits behind something that has to be stored first. */
  const sendAndLeave = async (...stanzas: string[]): Promise<void> => {
    stage.put(balcony.session, `<presence type='subscribe' to='nurse@example.org'/>`);
    for (const stanza of stanzas) stage.put(balcony.session, stanza);
    await balcony.leave();
  };

  it('RFC 6121 4.5.2: presence shows nobody a resource that is gone', async () => {
    await sendAndLeave('<presence/>');
    expect(romeo.take()).to.deep.equal([]);
    expect(balcony.session.inbound.outstanding).to.equal(0);
  });

  it('RFC 6121 4.6.3: nor does directed presence, which nobody would take back', async () => {
    await sendAndLeave(`<presence to='lobby@example.org/juliet'/>`);
    expect(stage.takeAbroad().join('')).not.to.include('lobby');
  });

  it('messages, subscriptions and requests to others go all the same', async () => {
    await sendAndLeave(
      `<message to='${ROMEO}' type='chat'><body>Good night</body></message>`,
      `<presence to='${ROMEO}' type='subscribe'/>`,
      `<iq id='v' to='nurse@example.org/x' type='get'><query xmlns='jabber:iq:version'/></iq>`,
    );
    const seen = romeo.take().join('');
    expect(seen).to.include('Good night').and.include(`type='subscribe'`);
    expect(stage.takeAbroad().join('')).to.include('jabber:iq:version');
  });

  for (const [what, request] of [
    ['its own roster', `<iq id='late' type='get'><query xmlns='jabber:iq:roster'/></iq>`],
    ['its own account', `<iq id='late' to='${JULIET}' type='get'><ping xmlns='urn:xmpp:ping'/></iq>`],
    ['something unknown', `<iq id='late' type='get'><query xmlns='urn:example:unknown'/></iq>`],
    ['nothing', `<iq id='late' type='get'/>`],
  ] as const) {
    it(`a request for ${what} is not answered to the next session of the same name`, async () => {
      const left = sendAndLeave(request);
      const next = await stage.actor(`${JULIET}/balcony`);
      await left;
      await stage.settle();
      expect(next.take().join('')).not.to.include('late');
    });
  }

  it('a change of the roster is made all the same, and others hear of it', async () => {
    const chamber = await stage.actor(`${JULIET}/chamber`);
    await chamber.enter();
    await sendAndLeave(
      `<iq id='late' type='set'><query xmlns='jabber:iq:roster'><item jid='nurse@example.com'/></query></iq>`,
    );
    expect(chamber.take().join('')).to.include(`<item jid='nurse@example.com' subscription='none'/>`);
  });
});
