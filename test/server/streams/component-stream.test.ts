import { expect } from 'chai';

import { StreamError } from '../../../stanzas/stream-error.ts';
import { ComponentStage, type ComponentPlayer } from '../../support/component-stage.ts';
import type { Actor } from '../../support/core.ts';

const PLAYS = 'plays.example.com';
const message = (from: string, to: string, text = 'Exeunt'): string =>
  `<message from='${from}' to='${to}' id='m1' type='chat'><body>${text}</body></message>`;
const streamError = (condition: string): RegExp =>
  new RegExp(`<stream:error><${condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>`);
const stanzaError = (condition: string): RegExp =>
  new RegExp(`type='error'.*<${condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>`);

describe('the stream of an external component (XEP-0114)', () => {
  let stage: ComponentStage;
  let juliet: Actor;

  async function open(settings: Readonly<Record<string, unknown>> = {}, options = {}): Promise<void> {
    stage = await ComponentStage.open(['juliet@example.com'], [{ domain: PLAYS, ...settings }], options);
    juliet = await stage.play.actor('juliet@example.com/balcony');
    await juliet.enter();
  }

  beforeEach(() => open());

  /** Juliet writes to the component; what she hears of it. */
  async function ask(text = 'Is it e’en so?'): Promise<string[]> {
    await juliet.send(`<message to='romeo@${PLAYS}' id='j1' type='chat'><body>${text}</body></message>`);
    return juliet.take();
  }

  it('Examples 1 to 4: answers the header with a stream id and the handshake with an empty one', async () => {
    const component = stage.connect();
    expect(await component.open(PLAYS)).to.equal(
      `<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:component:accept' from='${PLAYS}' id='stream-1'>`,
    );
    // SHA-1 of "stream-1a rose by any other name", computed by sha1sum
    const shown = await component.send('<handshake>e8e01ab0838b338a296b87f365c046f303ca5d99</handshake>');
    expect(shown).to.match(/^<handshake\/>/);
  });

  it('carries stanzas both ways, each in the content namespace of its stream', async () => {
    const component = await stage.enter(PLAYS);
    await component.send(
      `<message from='romeo@${PLAYS}/stage' to='juliet@example.com' type='chat'><body xmlns='jabber:component:accept'>Here</body></message>`,
    );
    expect(juliet.take().join('')).to.include(`<body xmlns='jabber:client'>Here</body>`);
    component.connection.take();
    await juliet.send(
      `<message to='romeo@${PLAYS}' type='chat'><body xmlns='jabber:client'>There</body><f xmlns='urn:f'><message xmlns='jabber:client'/></f></message>`,
    );
    const came = component.connection.take();
    expect(came).to.match(/^<message [^>]*from='juliet@example.com\/balcony'/);
    expect(came).to.include(`<body xmlns='jabber:component:accept'>There</body>`);
    expect(came).to.include(`<f xmlns='urn:f'><message xmlns='jabber:client'/></f>`);
  });

  it('takes stanzas that declare jabber:client', async () => {
    const component = await stage.enter(PLAYS);
    const client = message(`romeo@${PLAYS}`, 'juliet@example.com').replace(
      '<message',
      `<message xmlns='jabber:client'`,
    );
    expect(await component.send(client)).to.equal('');
    expect(juliet.take().join('')).to.include('<body>Exeunt</body>');
  });

  for (const [header, condition] of [
    [`xmlns='jabber:component:accept' to='verona.example.com'`, 'host-unknown'],
    [`xmlns='jabber:component:accept'`, 'host-unknown'],
    [`xmlns='jabber:component:accept' to='romeo@${PLAYS}'`, 'host-unknown'],
    [`xmlns='jabber:client' to='${PLAYS}'`, 'invalid-namespace'],
    [`xmlns='jabber:component:connect' to='${PLAYS}'`, 'invalid-namespace'],
  ] as const) {
    it(`refuses a header with ${header}: ${condition}`, async () => {
      const component = stage.connect();
      const answer = await component.send(`<stream:stream xmlns:stream='http://etherx.jabber.org/streams' ${header}>`);
      expect(answer).to.match(/^<\?xml version='1.0'\?><stream:stream /);
      expect(answer)
        .to.match(streamError(condition))
        .and.to.match(/<\/stream:stream>$/);
      expect(component.connection.ended).to.equal(true);
    });
  }

  it('refuses a wrong secret and closes the connection', async () => {
    const component = stage.connect();
    expect(await component.enter(PLAYS, 'a thorn')).to.match(streamError('not-authorized'));
    expect(component.connection.ended).to.equal(true);
    expect((await ask()).join('')).to.match(stanzaError('service-unavailable'));
  });

  it('refuses stanzas before the handshake, and a handshake too long for its purpose', async () => {
    const early = stage.connect();
    await early.open(PLAYS);
    expect(await early.send(message(`romeo@${PLAYS}`, 'juliet@example.com'))).to.match(streamError('not-authorized'));
    expect(juliet.take()).to.deep.equal([]);
    const long = stage.connect();
    await long.open(PLAYS);
    expect(await long.send(`<handshake>${'a'.repeat(10_000)}`)).to.match(streamError('policy-violation'));
  });

  for (const from of ['juliet@example.com', 'example.com', `romeo@more.${PLAYS}`, 'a@b@c', '']) {
    it(`refuses a stanza from "${from}": invalid-from`, async () => {
      const component = await stage.enter(PLAYS);
      expect(await component.send(message(from, 'juliet@example.com'))).to.match(streamError('invalid-from'));
      expect(juliet.take()).to.deep.equal([]);
    });
  }

  for (const missing of ['from', 'to']) {
    it(`refuses a stanza without ${missing}`, async () => {
      const component = await stage.enter(PLAYS);
      const whole = message(PLAYS, 'juliet@example.com');
      const answer = await component.send(whole.replace(new RegExp(` ${missing}='[^']*'`), ''));
      expect(answer).to.match(streamError('improper-addressing'));
    });
  }

  it('answers a malformed address and an IQ that is none, and goes on', async () => {
    const component = await stage.enter(PLAYS);
    expect(await component.send(message(PLAYS, 'a@b@c'))).to.match(stanzaError('jid-malformed'));
    const strange = `<iq from='${PLAYS}' to='example.com' id='i1' type='strange'/>`;
    expect(await component.send(strange)).to.match(stanzaError('bad-request'));
    expect(component.connection.ended).to.equal(false);
  });

  it('refuses what is larger than it may send', async () => {
    await open({}, { POSTHORN_COMPONENTS_MAX_STANZA_BYTES: '10000' });
    const component = await stage.enter(PLAYS);
    const large = message(PLAYS, 'juliet@example.com', 'O'.repeat(11_000));
    expect(await component.send(large)).to.match(streamError('policy-violation'));
  });

  it('answers at once while the component is away: before it came, once it was cut, not when it is back', async () => {
    expect((await ask()).join(''))
      .to.match(stanzaError('service-unavailable'))
      .and.to.include(`type='wait'`);
    const component = await stage.enter(PLAYS);
    expect(await ask()).to.deep.equal([]);
    await component.answerPings();
    stage.pass(1);
    await component.answerPings();
    component.connection.close(new Error('reset'));
    await stage.play.settle();
    expect(juliet.take()).to.deep.equal([]);
    expect((await ask()).join('')).to.match(stanzaError('service-unavailable'));
    const again = await stage.enter(PLAYS);
    again.connection.take();
    expect(await ask()).to.deep.equal([]);
    expect(again.connection.take()).to.include('<body>Is it e');
  });

  it('gives back exactly what the component has not confirmed when its connection breaks', async () => {
    const component = await stage.enter(PLAYS);
    await component.answerPings();
    await ask('one');
    stage.pass(1);
    expect(await component.answerPings()).to.include('one');
    await ask('two');
    stage.pass(1);
    await ask('three');
    component.connection.close(new Error('reset'));
    await stage.play.settle();
    const heard = juliet.take();
    expect(heard).to.have.length(2);
    for (const answer of heard) expect(answer).to.match(stanzaError('remote-server-timeout'));
  });

  it('gives back to who has left meanwhile when they come again', async () => {
    const component = await stage.enter(PLAYS);
    await component.answerPings();
    await ask('one');
    await juliet.leave();
    component.connection.close(new Error('reset'));
    await stage.play.settle();
    expect((await stage.play.storage.log.pendingUsage('juliet@example.com')).count).to.equal(1);
    const phone = await stage.play.actor('juliet@example.com/phone');
    await phone.send('<presence/>');
    expect(phone.take().join('')).to.match(stanzaError('remote-server-timeout'));
  });

  it('gives back nothing that was confirmed in the middle of a burst', async () => {
    const component = await stage.enter(PLAYS);
    await component.answerPings();
    for (let sent = 0; sent < 101; sent++) await ask(`${sent}`);
    await component.answerPings();
    component.connection.close(new Error('reset'));
    await stage.play.settle();
    expect(juliet.take()).to.have.length(1);
  });

  it('takes what was given to one that never answers pings for arrived after a minute', async () => {
    const component = await stage.enter(PLAYS);
    await ask();
    stage.pass(62); // the first ping went before it
    stage.pass(62);
    expect(component.stream.counts.queued).to.equal(0);
    component.connection.close(new Error('reset'));
    await stage.play.settle();
    expect(juliet.take()).to.deep.equal([]);
  });

  it('gives back what was on its way when the component closes in order, or the server ends its stream', async () => {
    for (const end of [
      async (component: ComponentPlayer): Promise<void> => {
        await component.send('</stream:stream>');
      },
      (component: ComponentPlayer): Promise<void> => {
        component.stream.closeWithError(new StreamError('system-shutdown'));
        return Promise.resolve();
      },
    ]) {
      const component = await stage.enter(PLAYS);
      await ask();
      await end(component);
      await stage.play.settle();
      expect(juliet.take().join('')).to.match(stanzaError('remote-server-timeout'));
      component.connection.close();
    }
  });

  describe('that does not read', () => {
    let component: ComponentPlayer;

    beforeEach(async () => {
      await open({}, { POSTHORN_COMPONENTS_MAX_QUEUE_STANZAS: '10' });
      component = await stage.enter(PLAYS, { flushAtOnce: false });
      await component.answerPings();
    });

    /** Juliet sends messages whose fate stays open; what she hears. */
    async function send(count: number): Promise<string[]> {
      const until = component.stream.counts.queued + count;
      for (let sent = 0; sent < count; sent++) {
        stage.play.put(juliet.session, `<message to='${PLAYS}' id='t${sent}' type='chat'><body>Anon!</body></message>`);
      }
      while (component.stream.counts.queued < until) await new Promise((resolve) => setImmediate(resolve));
      return juliet.take();
    }

    it('stalls nobody: what waits counts as accepted after a second, and what does not fit is refused', async () => {
      expect(await send(10)).to.deep.equal([]);
      expect(juliet.session.inbound.outstanding).to.equal(10);
      stage.pass(2);
      expect(juliet.session.inbound.outstanding).to.equal(0);
      expect((await ask()).join(''))
        .to.match(stanzaError('resource-constraint'))
        .and.to.include(`type='wait'`);
    });

    it('is disconnected after a minute, and everything comes back', async () => {
      await send(10);
      stage.pass(63);
      await stage.play.settle();
      expect(component.connection.destroyed).to.equal(true);
      expect(component.connection.sent).not.to.include('<message');
      expect(stage.context.streams.size).to.equal(0);
      const heard = juliet.take();
      expect(heard).to.have.length(10);
      for (const answer of heard) expect(answer).to.match(stanzaError('remote-server-timeout'));
      expect((await ask()).join('')).to.match(stanzaError('service-unavailable'));
    });

    it('is not disconnected as long as it takes something', async () => {
      for (let times = 0; times < 4; times++) {
        await send(1);
        stage.pass(40);
        component.connection.flush(); // the system has it; the component has not answered
      }
      expect(component.connection.destroyed).to.equal(false);
      stage.pass(63);
      expect(component.connection.destroyed).to.equal(true);
    });
  });

  describe('two at once', () => {
    const both = async (): Promise<readonly [ComponentPlayer, ComponentPlayer, string]> => {
      const first = await stage.enter(PLAYS);
      first.connection.take();
      const second = stage.connect();
      return [first, second, await second.enter(PLAYS)];
    };

    it('replaces the earlier one where that is the policy', async () => {
      const [first, second, answer] = await both();
      expect(answer).to.match(/^<handshake\/>/);
      expect(first.connection.take()).to.match(streamError('conflict'));
      await ask();
      expect(second.connection.take()).to.include('<message');
      expect(first.connection.take()).to.equal('');
    });

    it('tells the newer one that it is accepted before it is given anything', async () => {
      const first = await stage.enter(PLAYS);
      await first.send(message(PLAYS, `romeo@${PLAYS}`));
      const answer = await stage.connect().enter(PLAYS);
      expect(answer)
        .to.match(/^<handshake\/>/)
        .and.match(stanzaError('remote-server-timeout'));
    });

    it('does not replace it before the secret is shown', async () => {
      const first = await stage.enter(PLAYS);
      expect(await stage.connect().enter(PLAYS, 'a thorn')).to.match(streamError('not-authorized'));
      expect(first.connection.ended).to.equal(false);
    });

    it('refuses the newer one where that is the policy', async () => {
      await open({ conflict: 'refuse' });
      const first = await stage.enter(PLAYS);
      first.connection.take();
      expect(await stage.connect().open(PLAYS)).to.match(streamError('conflict'));
      expect(first.connection.ended).to.equal(false);
      await ask();
      expect(first.connection.take()).to.include('<message');
    });

    it('refuses the second handshake of two that opened at the same time', async () => {
      await open({ conflict: 'refuse' });
      const [first, second] = [stage.connect(), stage.connect()];
      await second.open(PLAYS);
      await first.enter(PLAYS);
      expect(await second.send('<handshake>0</handshake>')).to.match(streamError('not-authorized'));
      expect(first.connection.ended).to.equal(false);
    });
  });

  it('closes who does not authenticate in time', () => {
    const silent = stage.connect();
    stage.pass(12);
    expect(silent.connection.take()).to.match(streamError('connection-timeout'));
    stage.pass(10);
    expect(silent.connection.destroyed).to.equal(true);
    expect(stage.context.streams.size).to.equal(0);
  });

  it('pings a silent component, and disconnects one that answered before and does not any more (half-open)', async () => {
    const component = await stage.enter(PLAYS);
    await component.answerPings();
    stage.pass(121);
    const ping = component.connection.sent;
    expect(ping).to.match(
      /^<iq to='plays.example.com' from='example.com' id='[^']+' type='get'><ping xmlns='urn:xmpp:ping'\/>/,
    );
    await component.answerPings();
    stage.pass(100);
    expect(component.connection.destroyed).to.equal(false);
    stage.pass(90);
    expect(component.connection.destroyed).to.equal(true);
    expect((await ask()).join('')).to.match(stanzaError('service-unavailable'));
  });

  it('lets whoever guesses secrets wait longer from guess to guess', async () => {
    for (let guess = 0; guess < 2; guess++) {
      expect(await stage.connect().enter(PLAYS, 'a thorn')).to.match(streamError('not-authorized'));
    }
    const third = stage.connect();
    expect(await third.enter(PLAYS, 'a thorn')).to.equal('');
    expect(await stage.connect({ address: '198.51.100.7' }).enter(PLAYS)).to.match(/^<handshake\/>/);
    stage.pass(1);
    await stage.play.settle();
    expect(third.connection.take()).to.match(streamError('not-authorized'));
  });

  it('closes in order when the component does', async () => {
    const component = await stage.enter(PLAYS);
    expect(await component.send('</stream:stream>')).to.match(/<\/stream:stream>$/);
    expect(component.connection.ended).to.equal(true);
    expect((await ask()).join('')).to.match(stanzaError('service-unavailable'));
  });

  it('lists the component under its configured name, or the one it gives itself', async () => {
    const items = async (): Promise<string> => {
      await juliet.send(
        `<iq to='example.com' id='d' type='get'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>`,
      );
      return juliet.take().join('');
    };
    expect(await items()).to.include(`<item jid='${PLAYS}'/>`);
    const component = stage.connect();
    const welcome = await component.enter(PLAYS);
    const id = /<iq [^>]*id='([^']+)'/.exec(welcome)?.[1] ?? '';
    await component.send(
      `<iq from='${PLAYS}' to='example.com' id='${id}' type='result'><query xmlns='http://jabber.org/protocol/disco#info'><identity category='gateway' type='xmpp' name='The Globe'/></query></iq>`,
    );
    expect(await items()).to.include(`<item jid='${PLAYS}' name='The Globe'/>`);
    await open({ name: 'The Rose' });
    expect(await items()).to.include(`<item jid='${PLAYS}' name='The Rose'/>`);
  });
});
