import { expect } from 'chai';

import { ComponentStage, type ComponentPlayer } from '../../support/component-stage.ts';
import type { Actor } from '../../support/core.ts';

const PUBSUB = 'pubsub.example.com';
const PRIVILEGE = 'urn:xmpp:privilege:2';
const FORWARDED = (stanza: string): string => `<forwarded xmlns='urn:xmpp:forward:0'>${stanza}</forwarded>`;
const ALL = {
  roster: 'both',
  message: 'outgoing',
  presence: 'roster',
  iq: [{ namespace: 'jabber:iq:private', type: 'both' }],
};

describe('a privileged component (XEP-0356)', () => {
  let stage: ComponentStage;
  let juliet: Actor;
  let component: ComponentPlayer;
  let welcome: string;

  async function open(privileges: Readonly<Record<string, unknown>>): Promise<void> {
    stage = await ComponentStage.open(
      ['juliet@example.com', 'romeo@example.com', 'nurse@example.net'],
      [{ domain: PUBSUB, name: 'PubSub', ...privileges }],
    );
    juliet = await stage.play.actor('juliet@example.com/balcony');
    await juliet.enter();
    component = stage.connect();
    welcome = await component.enter(PUBSUB);
    await component.answerPings();
  }

  /** What the component is sent because of it. */
  const send = (bytes: string): Promise<string> => component.send(bytes);
  const error = (condition: string): RegExp => new RegExp(`type='error'.*<${condition} `, 's');

  it('Example 10: is told all that it may do, and nothing where it may do nothing', async () => {
    await open(ALL);
    expect(welcome)
      .to.include(`<perm access='roster' type='both' push='true'/><perm access='message' type='outgoing'/>`)
      .and.include(`<perm access='iq'><namespace ns='jabber:iq:private' type='both'/></perm>`)
      .and.include(`<perm access='presence' type='roster'/>`);
    await open({});
    expect(welcome).not.to.include('privilege');
    await open({ roster: 'get', roster_push: false });
    expect(welcome).to.include(`<perm access='roster' type='get' push='false'/>`);
  });

  describe('and rosters', () => {
    const get = (to: string): Promise<string> =>
      send(`<iq from='${PUBSUB}' to='${to}' id='g' type='get'><query xmlns='jabber:iq:roster'/></iq>`);
    const set = (item: string, to = 'juliet@example.com'): Promise<string> =>
      send(`<iq from='${PUBSUB}' to='${to}' id='s' type='set'><query xmlns='jabber:iq:roster'>${item}</query></iq>`);

    it('Examples 2 and 3: reads and changes them, is sent pushes, as the owner’s sessions are', async () => {
      await open(ALL);
      const answer = await set(`<item jid='romeo@example.net' name='Romeo'/>`);
      expect(answer).to.match(/<iq to='pubsub.example.com' from='juliet@example.com' id='s' type='result'\/>/);
      expect(answer).to.match(/<iq to='pubsub.example.com' from='juliet@example.com' id='push-\d+' type='set'>/);
      expect(juliet.take().join('')).to.include(`<item jid='romeo@example.net' name='Romeo' subscription='none'/>`);
      expect(await get('juliet@example.com')).to.include(`<item jid='romeo@example.net' name='Romeo'`);
      await juliet.send(
        `<iq type='set' id='r'><query xmlns='jabber:iq:roster'><item jid='romeo@example.net' subscription='remove'/></query></iq>`,
      );
      component.connection.flush();
      expect(component.connection.take()).to.include(`<item jid='romeo@example.net' subscription='remove'/>`);
    });

    it('sets the subscription of its own users, and of nobody else', async () => {
      await open({ roster: 'both' });
      const answer = await set(`<item jid='legacy@${PUBSUB}' subscription='both'/>`);
      expect(answer).to.include(`<presence to='legacy@${PUBSUB}' from='juliet@example.com/balcony'/>`);
      await set(`<item jid='romeo@example.com' subscription='both'/>`);
      expect(await get('juliet@example.com'))
        .to.include(`<item jid='legacy@${PUBSUB}' subscription='both'/>`)
        .and.include(`<item jid='romeo@example.com' subscription='none'/>`);
    });

    it('is refused what it may not, also over accounts of another domain', async () => {
      await open({ roster: 'get' });
      expect(await set(`<item jid='romeo@example.net'/>`)).to.match(error('forbidden'));
      expect(await get('nurse@example.net')).to.match(error('service-unavailable'));
      await open({ roster: 'set' });
      expect(await get('juliet@example.com')).to.match(error('forbidden'));
      expect(await set(`<item jid='romeo@example.net'/>`))
        .to.match(/type='result'/)
        .and.not.match(/push-/);
      const other = await send(
        `<iq from='user@${PUBSUB}' to='juliet@example.com' id='s' type='set'><query xmlns='jabber:iq:roster'><item jid='a@b'/></query></iq>`,
      );
      expect(other).to.match(error('service-unavailable'));
    });
  });

  describe('and messages', () => {
    const privileged = (message: string): Promise<string> =>
      send(
        `<message from='${PUBSUB}' to='example.com' id='p'><privilege xmlns='${PRIVILEGE}'>${FORWARDED(message)}</privilege></message>`,
      );
    const message = (from: string, to = 'romeo@example.com', namespace = 'jabber:client'): string =>
      `<message xmlns='${namespace}' from='${from}' to='${to}' id='foo' type='chat'><body>O Romeo</body></message>`;

    it('Example 6: sends them as if the account did: delivered, kept, shown to its other sessions', async () => {
      await open({ message: 'outgoing' });
      const romeo = await stage.play.actor('romeo@example.com/orchard');
      await romeo.enter();
      await juliet.send(`<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq>`);
      juliet.take();
      expect(await privileged(message('juliet@example.com'))).to.equal('');
      const [heard] = romeo.take();
      expect(heard).to.match(/^<message to='romeo@example.com' from='juliet@example.com' id='foo' type='chat'>/);
      const [carbon] = juliet.take();
      expect(carbon).to.include(`<sent xmlns='urn:xmpp:carbons:2'>`).and.include('<body>O Romeo</body>');
      await juliet.send(`<iq type='set' id='m'><query xmlns='urn:xmpp:mam:2'/></iq>`);
      expect(juliet.take().join('')).to.include('<body>O Romeo</body>');
    });

    it('shows the owner what was sent to a user of the component from elsewhere, and hands it to the component', async () => {
      await open({ message: 'outgoing' });
      await juliet.send(`<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq>`);
      juliet.take();
      const came = await privileged(message('juliet@example.com', `legacy@${PUBSUB}`));
      expect(came).to.include(`<message to='legacy@${PUBSUB}' from='juliet@example.com'`);
      expect(juliet.take().join('')).to.include(`<sent xmlns='urn:xmpp:carbons:2'>`);
    });

    it('sends them for an owner who is away, and from the server itself', async () => {
      await open(ALL);
      await privileged(message('romeo@example.com', 'juliet@example.com'));
      await privileged(message('example.com', 'juliet@example.com'));
      const froms = juliet.take().map((heard) => /from='([^']+)'/.exec(heard)?.[1]);
      expect(froms).to.deep.equal(['romeo@example.com', 'example.com']);
    });

    for (const [from, why] of [
      ['juliet@example.com/balcony', 'a full JID'],
      ['nurse@example.net', 'another domain'],
      ['benvolio@example.com', 'nobody'],
      ['example.net', 'another domain itself'],
      [`legacy@${PUBSUB}`, 'its own user'],
    ] as const) {
      it(`refuses one from ${why}: forbidden`, async () => {
        await open(ALL);
        expect(await privileged(message(from, 'juliet@example.com'))).to.match(error('forbidden'));
        expect(juliet.take()).to.deep.equal([]);
      });
    }

    it('refuses all without the privilege, and what is no message of jabber:client', async () => {
      await open({ roster: 'both' });
      expect(await privileged(message('juliet@example.com'))).to.match(error('forbidden'));
      await open(ALL);
      expect(await privileged(message('juliet@example.com', 'a@b', 'jabber:server'))).to.match(error('forbidden'));
      expect(await privileged('')).to.match(error('bad-request'));
    });

    it('strips what the owner could not send either', async () => {
      await open(ALL);
      const romeo = await stage.play.actor('romeo@example.com/orchard');
      await romeo.enter();
      const forged = `<sent xmlns='urn:xmpp:carbons:2'/></message>`;
      await privileged(message('juliet@example.com').replace('</message>', forged));
      expect(romeo.take().join('')).to.include('O Romeo').and.not.include('<sent');
    });
  });

  describe('and requests', () => {
    const ask = (inner: string, to = 'juliet@example.com', type = 'get', from = PUBSUB): Promise<string> =>
      send(
        `<iq from='${from}' to='${to}' id='q' type='${type}'><privileged_iq xmlns='${PRIVILEGE}'>${inner}</privileged_iq></iq>`,
      );
    const priv = `<query xmlns='jabber:iq:private'><roster xmlns='roster:delimiter'/></query>`;
    const inner = (attributes = `type='get'`, payload = priv): string =>
      `<iq xmlns='jabber:client' id='in' ${attributes}>${payload}</iq>`;

    it('Examples 8 and 9: sends one in the name of the account to the account itself, and gives the answer', async () => {
      await open(ALL);
      expect(await ask(inner())).to.match(
        /^<iq to='pubsub.example.com' from='juliet@example.com' id='q' type='result'><privilege xmlns='urn:xmpp:privilege:2'><forwarded xmlns='urn:xmpp:forward:0'><iq xmlns='jabber:client' to='juliet@example.com' from='juliet@example.com' id='in' type='result'><query xmlns='jabber:iq:private'>/,
      );
      expect(juliet.take()).to.deep.equal([]);
    });

    it('sends one to somebody else, and gives the answer, be it an error', async () => {
      await open(ALL);
      await ask(inner(`type='set' to='montague@example.org'`), 'juliet@example.com', 'set');
      const [abroad = ''] = stage.play.takeAbroad();
      expect(abroad).to.include(`from='juliet@example.com'`);
      const answer = await ask(inner(`type='set' to='romeo@example.com'`), 'juliet@example.com', 'set');
      expect(answer)
        .to.match(/id='q' type='result'/)
        .and.match(error('service-unavailable'));
    });

    for (const [why, send] of [
      ['a full JID', () => ask(inner(), 'juliet@example.com/balcony')],
      ['an account of another domain', () => ask(inner(), 'nurse@example.net')],
      ['the server', () => ask(inner(), 'example.com')],
      ['a namespace it may not', () => ask(inner(`type='get'`, `<query xmlns='jabber:iq:roster'/>`))],
      ['different types', () => ask(inner(`type='set'`))],
      ['another sender', () => ask(inner(`type='get' from='romeo@example.com'`))],
      ['another namespace than jabber:client', () => ask(inner().replace('jabber:client', 'jabber:server'))],
    ] as const) {
      it(`refuses one for ${why}: forbidden`, async () => {
        await open(ALL);
        expect(await send()).to.match(error('forbidden'));
        expect(juliet.take()).to.deep.equal([]);
      });
    }

    it('refuses the type that was not granted, and strangers', async () => {
      await open({ iq: [{ namespace: 'jabber:iq:private', type: 'set' }] });
      expect(await ask(inner())).to.match(error('forbidden'));
      expect(await ask(inner(), 'juliet@example.com', 'get', `legacy@${PUBSUB}`)).to.match(
        error('service-unavailable'),
      );
      await juliet.send(
        `<iq to='romeo@example.com' id='x' type='get'><privileged_iq xmlns='${PRIVILEGE}'>${inner()}</privileged_iq></iq>`,
      );
      expect(juliet.take().join('')).to.match(error('service-unavailable'));
    });
  });

  describe('and presence', () => {
    const seen = (): string => {
      component.connection.flush();
      return component.connection.take();
    };

    it('Example 11: sees who is there when it comes, who comes and who goes, and no other presence', async () => {
      await open({ presence: 'managed_entity' });
      expect(welcome).to.include(`<presence to='${PUBSUB}' from='juliet@example.com/balcony'/>`);
      const romeo = await stage.play.actor('romeo@example.com/orchard');
      await romeo.send('<presence><show>chat</show></presence>');
      expect(seen()).to.equal(`<presence to='${PUBSUB}' from='romeo@example.com/orchard'><show>chat</show></presence>`);
      await romeo.send('<presence><show>away</show></presence>');
      expect(seen()).to.equal('');
      await romeo.leave();
      expect(seen()).to.include(`from='romeo@example.com/orchard' type='unavailable'`);
    });

    it('Example 13: sees the contacts of accounts, also of those that are away, once', async () => {
      await open({ presence: 'roster', roster: 'get' });
      await juliet.send(`<presence type='subscribe' to='paris@example.org'/>`);
      stage.play.takeAbroad();
      await stage.play.receive(`<presence from='paris@example.org' to='juliet@example.com' type='subscribed'/>`);
      await juliet.leave();
      seen();
      const coming = `<presence from='paris@example.org/tomb' to='juliet@example.com'><show>dnd</show></presence>`;
      await stage.play.receive(coming);
      await stage.play.receive(coming);
      await stage.play.receive(`<presence from='stranger@example.org/x' to='juliet@example.com'/>`);
      expect(seen()).to.equal(`<presence to='${PUBSUB}' from='paris@example.org/tomb'><show>dnd</show></presence>`);
    });

    it('tells nobody when what it was shown did not arrive', async () => {
      await open({ presence: 'managed_entity' });
      const romeo = await stage.play.actor('romeo@example.com/orchard');
      await romeo.enter();
      component.connection.close(new Error('reset'));
      await stage.play.settle();
      expect(romeo.take()).to.deep.equal([]);
    });
  });
});
