import { expect } from 'chai';
import { Stage, type Actor } from '../../../support/core.ts';

const ROMEO = 'romeo@example.net';
const JULIET = 'juliet@example.com';
const ENABLE = `<iq id='enable1' type='set'><enable xmlns='urn:xmpp:carbons:2'/></iq>`;
const DISABLE = `<iq id='disable1' type='set'><disable xmlns='urn:xmpp:carbons:2'/></iq>`;
const QUESTION = `What man art thou that, thus bescreen'd in night, so stumblest on my counsel?`;

describe('message carbons (XEP-0280)', () => {
  let stage: Stage;
  let garden: Actor;
  let home: Actor;
  let balcony: Actor;

  beforeEach(async () => {
    stage = await Stage.open([ROMEO, JULIET, 'tybalt@example.com']);
    garden = await stage.actor(`${ROMEO}/garden`);
    home = await stage.actor(`${ROMEO}/home`);
    balcony = await stage.actor(`${JULIET}/balcony`);
    await garden.enter();
    await home.enter();
    await balcony.enter();
    for (const actor of [garden, home]) {
      await actor.send(ENABLE);
      actor.take();
    }
    garden.take();
  });

  it('Examples 1, 3 and 6: is announced, enabled and disabled, as often as wanted (10.1)', async () => {
    await balcony.send(
      `<iq id='info1' to='example.com' type='get'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`,
    );
    const answer = balcony.take().join('');
    expect(answer).to.include(`<feature var='urn:xmpp:carbons:2'/>`);
    expect(answer).to.include(`<feature var='urn:xmpp:carbons:rules:0'/>`);
    for (const request of [ENABLE, ENABLE, DISABLE, DISABLE]) {
      await balcony.send(request);
      const [answer, ...more] = balcony.take();
      expect(answer).to.match(
        /^<iq to='juliet@example.com\/balcony' from='juliet@example.com' id='\w+' type='result'\/>$/,
      );
      expect(more).to.deep.equal([]);
    }
  });

  it('Example 10: another client of the recipient receives a copy from the bare JID, with the original inside', async () => {
    await balcony.send(
      `<message to='${ROMEO}/garden' type='chat'><body>${QUESTION}</body><thread>0e3141</thread></message>`,
    );
    const [original] = garden.take();
    expect(original).to.match(
      /^<message to='romeo@example.net\/garden' from='juliet@example.com\/balcony' type='chat'><body>/,
    );
    const copies = home.take();
    expect(copies).to.have.lengthOf(1);
    expect(copies[0]).to.match(
      /^<message to='romeo@example.net\/home' from='romeo@example.net' type='chat'><received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' to='romeo@example.net\/garden' from='juliet@example.com\/balcony' type='chat'><body>/,
    );
    // The number and the id are those that the addressee was given (XEP-0313 3.4).
    const stamps = /<sequence .*?\/><stanza-id .*?\/>/.exec(original!)?.[0] ?? '';
    expect(stamps).to.include(`by='romeo@example.net'`);
    expect(copies[0]).to.include(stamps);
  });

  it('Example 12: the sender’s other clients receive a copy of what was sent, numbered as at the recipient', async () => {
    await home.send(`<message to='${JULIET}/balcony' type='chat'><body>Neither, fair saint</body></message>`);
    const [copy, ...more] = garden.take();
    expect(more).to.deep.equal([]);
    expect(copy).to.match(
      /^<message to='romeo@example.net\/garden' from='romeo@example.net' type='chat'><sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' to='juliet@example.com\/balcony' from='romeo@example.net\/home' type='chat'><body>/,
    );
    expect(copy)
      .to.include(`chat='juliet@example.com' n='1'`)
      .and.to.include(`<stanza-id xmlns='urn:xmpp:sid:0' by='romeo@example.net'`);
    const [received] = balcony.take();
    expect(received).to.include(`chat='romeo@example.net' n='1'`);
    // XEP-0313 3.4: the sender's id is nobody else's business.
    expect(received).to.not.include(`by='romeo@example.net' id=`);
    expect(home.take()).to.deep.equal([]);
  });

  it('8: also where the sending client has not enabled them, and to another server', async () => {
    await home.send(DISABLE);
    home.take();
    await home.send(`<message to='mercutio@example.org' type='chat'><body>Good morrow</body></message>`);
    expect(garden.take().join('')).to.include('<sent ').and.to.include('Good morrow');
    expect(home.take()).to.deep.equal([]);
    expect(stage.takeAbroad()).to.have.lengthOf(1);
  });

  it('is not sent to who did not enable it', async () => {
    await home.send(DISABLE);
    home.take();
    await balcony.send(`<message to='${ROMEO}/garden' type='chat'><body>${QUESTION}</body></message>`);
    expect(home.take()).to.deep.equal([]);
  });

  it('7: reaches each client once when the message goes to several of them', async () => {
    await balcony.send(`<message to='${ROMEO}' type='chat'><body>${QUESTION}</body></message>`);
    expect(garden.take()).to.have.lengthOf(1);
    expect(home.take()).to.have.lengthOf(1);
  });

  it('6.1: copies what belongs to instant messaging, and nothing else', async () => {
    const cases: [string, boolean][] = [
      [`type='chat'><composing xmlns='http://jabber.org/protocol/chatstates'/>`, true],
      [`type='normal'><body>x</body>`, true],
      [`type='normal'><subject>x</subject>`, false],
      [`><received xmlns='urn:xmpp:receipts' id='1'/>`, true],
      [`><displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>`, true],
      [`><x xmlns='jabber:x:conference' jid='balcony@rooms.example.com'/>`, true],
      [`><x xmlns='http://jabber.org/protocol/muc#user'><invite to='x@example.com'/></x>`, true],
      [`type='headline'><body>x</body>`, false],
      [`type='headline'><x xmlns='http://jabber.org/protocol/muc#user'><invite to='x@example.com'/></x>`, true],
      [`type='headline'><displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>`, true],
      [`type='normal'><active xmlns='http://jabber.org/protocol/chatstates'/>`, true],
      [`type='chat'><body>x</body><private xmlns='urn:xmpp:carbons:2'/>`, false],
      [`type='normal'><body>x</body><private xmlns='urn:xmpp:carbons:2'/>`, false],
      [`type='chat'><body>x</body><private xmlns='urn:xmpp:carbons:2'/><no-copy xmlns='urn:xmpp:hints'/>`, false],
      [`type='chat'><body>x</body><no-copy xmlns='urn:xmpp:hints'/>`, false],
    ];
    for (const [message, isCopied] of cases) {
      await balcony.send(`<message to='${ROMEO}/garden' ${message}</message>`);
      expect(garden.take(), message).to.have.lengthOf(1);
      expect(home.take(), message).to.have.lengthOf(isCopied ? 1 : 0);
    }
    await home.send(`<message to='room@example.org' type='groupchat'><body>x</body></message>`);
    expect(garden.take()).to.deep.equal([]);
  });

  describe('6.1: errors', () => {
    const GONE = `<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`;
    const bounce = (id: string, from = 'mercutio@example.org', to = `${ROMEO}/home`): Promise<void> =>
      stage.receive(`<message from='${from}' to='${to}' id='${id}' type='error'>${GONE}</message>`);

    it('are copied where they answer what is eligible, whoever was there when it was sent', async () => {
      await garden.leave();
      await home.send(`<message to='mercutio@example.org' type='chat' id='m1'><body>Good morrow</body></message>`);
      garden = await stage.actor(`${ROMEO}/garden`);
      await garden.enter();
      await garden.send(ENABLE);
      garden.take();
      home.take();
      await bounce('m1');
      expect(garden.take().join('')).to.match(
        /^<message to='romeo@example.net\/garden' from='romeo@example.net' type='error'><received xmlns='urn:xmpp:carbons:2'><forwarded [^>]*><message [^>]*type='error'/,
      );
      expect(home.take()).to.have.lengthOf(1);
    });

    it('are not copied where they answer what is not', async () => {
      const x = `<x xmlns='http://jabber.org/protocol/muc#user'/>`;
      const long = 'm'.repeat(5000);
      for (const [id, message] of [
        ['m1', `type='headline' id='m1'><body>News</body>`],
        ['m2', `type='chat' id='m2'><body>Psst</body><private xmlns='urn:xmpp:carbons:2'/>`],
        ['m3', `type='groupchat' id='m3'><body>To all</body>`],
        ['m4', `id='m4'><subject>x</subject>`],
        [long, `type='headline' id='${long}'><body>News</body>`],
      ] as const) {
        await home.send(`<message to='mercutio@example.org' ${message}</message>`);
        expect(garden.take()).to.deep.equal([]);
        await bounce(id);
        expect(garden.take(), id).to.deep.equal([]);
        expect(home.take()).to.have.lengthOf(1);
        // Somebody else's error of that id answers something else.
        await bounce(id, 'tybalt@example.org');
        expect(garden.take(), id).to.have.lengthOf(1);
        home.take();
      }
      await home.send(`<message to='room@example.org/tybalt' id='p1' type='chat'><body>x</body>${x}</message>`);
      garden.take();
      await bounce('p1', 'room@example.org/tybalt');
      expect(garden.take(), 'a private message to an occupant is eligible').to.have.lengthOf(1);
    });

    it('are copied as they are sent, by the same rule', async () => {
      const answerTo = (from: string, id: string): Promise<void> =>
        home.send(`<message to='${from}' type='error' id='${id}'>${GONE}</message>`);
      await balcony.send(`<message to='${ROMEO}/home' type='chat' id='m1'><body>x</body></message>`);
      await balcony.send(`<message to='${ROMEO}/home' type='headline' id='m2'><body>x</body></message>`);
      await stage.receive(
        `<message from='room@example.org/tybalt' to='${ROMEO}/home' type='groupchat' id='g1'><body>x</body></message>`,
      );
      garden.take();
      await answerTo(`${JULIET}/balcony`, 'm1');
      expect(garden.take().join('')).to.match(/<sent .*type='error'/);
      await answerTo(`${JULIET}/balcony`, 'm2');
      await answerTo('room@example.org/tybalt', 'g1');
      expect(garden.take()).to.deep.equal([]);
      await answerTo(`${JULIET}/gone`, 'm3');
      expect(garden.take(), 'RFC 6121 8.5.3.2.1 lets it go').to.have.lengthOf(1);
    });

    it('10.3: that answer a copy go to nobody', async () => {
      await balcony.send(`<message to='${ROMEO}/home' type='chat' id='m1'><body>x</body></message>`);
      for (const actor of [garden, home, balcony]) actor.take();
      await garden.send(`<message to='${ROMEO}' type='error' id='m1'>${GONE}</message>`);
      await garden.send(`<message to='${ROMEO}' type='error'>${GONE}</message>`);
      for (const actor of [garden, home, balcony]) expect(actor.take()).to.deep.equal([]);
    });

    it('7: are seen by those who are there where they come to a resource that has gone', async () => {
      await home.send(`<message to='mercutio@example.org' type='chat' id='m1'><body>Good morrow</body></message>`);
      await home.leave();
      garden.take();
      await bounce('m1');
      expect(garden.take().join('')).to.match(/<received .*type='error'/);
    });
  });

  it('8: shows the sender’s other clients also what was refused, and that it was', async () => {
    for (const to of ['nobody@example.net', `${JULIET}/tomb`]) {
      await home.send(`<message to='${to}' type='normal' id='m1'><body>x</body></message>`);
      const [copy, error, ...more] = garden.take();
      expect(more).to.deep.equal([]);
      expect(copy).to.include('<sent ').and.to.include('<body>x</body>');
      expect(error).to.include('<received ').and.to.include('service-unavailable');
      expect(home.take()).to.have.lengthOf(1);
    }
  });

  it('6.1: copies a private message to an occupant of a room, not the one that comes from there', async () => {
    const x = `<x xmlns='http://jabber.org/protocol/muc#user'/>`;
    await home.send(`<message to='room@example.org/tybalt' type='chat'><body>x</body>${x}</message>`);
    expect(garden.take().join('')).to.include(`chat='room@example.org/tybalt' n='1'`);
    await stage.receive(
      `<message from='room@example.org/tybalt' to='${ROMEO}/home' type='chat'><body>y</body>${x}</message>`,
    );
    expect(home.take().join('')).to.include(`chat='room@example.org/tybalt' n='2'`);
    expect(garden.take()).to.deep.equal([]);
  });

  it('Example 11: what claims to be a carbon loses the claim on its way', async () => {
    const tybalt = await stage.actor('tybalt@example.com/home');
    const forged = `<received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='${JULIET}/balcony' to='${ROMEO}/garden' type='chat'><body>Thou shall meet me tonite</body></message></forwarded></received>`;
    await tybalt.send(`<message to='${ROMEO}/garden' type='chat'><body>x</body>${forged}</message>`);
    await stage.receive(
      `<message from='mercutio@example.org/a' to='${ROMEO}/garden' type='chat'><body>y</body>${forged.replaceAll('received', 'sent')}</message>`,
    );
    await tybalt.send(`<message to='mercutio@example.org' type='chat'><body>z</body>${forged}</message>`);
    const seen = [...garden.take(), ...home.take(), ...stage.takeAbroad()].join('');
    expect(seen).to.include('<body>x</body>').and.to.include('<body>y</body>').and.to.include('<body>z</body>');
    expect(seen).to.not.include('tonite');
  });

  it('shows all devices of both sides one order', async () => {
    await Promise.all([
      ...[1, 2, 3].map((n) => home.send(`<message to='${JULIET}' type='chat'><body>r${n}</body></message>`)),
      ...[1, 2, 3].map((n) => balcony.send(`<message to='${ROMEO}/home' type='chat'><body>j${n}</body></message>`)),
    ]);
    const numbers = garden.take().map((copy) => Number(/ n='(\d+)'/.exec(copy)?.[1]));
    expect(numbers).to.deep.equal([1, 2, 3, 4, 5, 6]);
  });

  it('counts as delivered: what one client has seen is not sent it again when another is lost', async () => {
    garden.session.startAcknowledging();
    await balcony.send(`<message to='${ROMEO}/garden' type='chat'><body>${QUESTION}</body></message>`);
    expect(home.take()).to.have.lengthOf(1);
    home.session.flushed(home.session.flushMark());
    await garden.leave();
    expect(home.take().filter((stanza) => stanza.includes('<message'))).to.deep.equal([]);
  });

  it('is never kept for later, and never delivered as a message of its own', async () => {
    garden.session.startAcknowledging();
    await home.send(`<message to='${JULIET}' type='normal'><body>one</body></message>`);
    expect(garden.take()).to.have.lengthOf(1);
    await garden.leave();
    expect(home.take().filter((stanza) => stanza.includes('<message'))).to.deep.equal([]);
    expect(await stage.storage.log.page(ROMEO, { limit: 10 })).to.have.lengthOf(1);
  });

  it('7: shows a client of negative priority what waits for the others, once', async () => {
    await garden.leave();
    await home.send(`<presence><priority>-1</priority></presence>`);
    home.take();
    await balcony.send(`<message to='${ROMEO}' type='chat'><body>${QUESTION}</body></message>`);
    expect(home.take().join('')).to.include('<received ');
    const orchard = await stage.actor(`${ROMEO}/orchard`);
    await orchard.send('<presence/>');
    expect(orchard.take().join('')).to.include('stumblest');
    expect(home.take().join('')).to.not.include('stumblest');
  });
});
