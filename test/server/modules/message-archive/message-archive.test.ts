import { expect } from 'chai';
import type { Element } from '../../../../stanzas/element.ts';
import { Stage, type Actor } from '../../../support/core.ts';
import { elementOf } from '../../../support/module-harness.ts';

const JULIET = 'juliet@example.com';
const ROMEO = 'romeo@example.net';
const NURSE = 'nurse@example.com';
const MAM = 'urn:xmpp:mam:2';

/** What came of a query: the messages in the order sent, then the end or the condition of the error. */
interface Answer {
  readonly results: readonly { readonly id: string; readonly body: string; readonly result: Element }[];
  readonly complete: boolean;
  readonly first: string | undefined;
  readonly last: string | undefined;
  readonly error: string | undefined;
}

function field(name: string, ...values: readonly string[]): string {
  return `<field var='${name}'>${values.map((value) => `<value>${value}</value>`).join('')}</field>`;
}

function form(...fields: readonly string[]): string {
  return `<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>${MAM}</value></field>${fields.join('')}</x>`;
}

function set(content: string): string {
  return `<set xmlns='http://jabber.org/protocol/rsm'>${content}</set>`;
}

describe('message archive management (XEP-0313)', () => {
  let stage: Stage;
  let juliet: Actor;
  let romeo: Actor;
  let nurse: Actor;

  beforeEach(() => begin());

  async function begin(environment: Record<string, string> = {}): Promise<void> {
    stage = await Stage.open([JULIET, ROMEO, NURSE], { environment });
    juliet = await stage.actor(`${JULIET}/balcony`);
    romeo = await stage.actor(`${ROMEO}/orchard`);
    nurse = await stage.actor(`${NURSE}/hall`);
    for (const actor of [juliet, romeo, nurse]) await actor.enter();
  }

  async function say(from: Actor, to: string, body: string): Promise<void> {
    await from.send(`<message to='${to}' type='chat'><body>${body}</body></message>`);
  }

  /** A dialogue of Juliet with Romeo and one line of the nurse: 1 from, 2 to, ... and `n` after the second. */
  async function dialogue(count: number): Promise<void> {
    for (let line = 1; line <= count; line++) {
      if (line % 2 === 1) await say(romeo, JULIET, String(line));
      else await say(juliet, ROMEO, String(line));
      if (line === 2) await say(nurse, JULIET, 'n');
    }
    for (const actor of [juliet, romeo, nurse]) actor.take();
  }

  async function ask(actor: Actor, content = '', queryId = 'f27'): Promise<Answer> {
    await actor.send(`<iq type='set' id='juliet1'><query xmlns='${MAM}' queryid='${queryId}'>${content}</query></iq>`);
    const stanzas = actor.take().map((bytes) => elementOf(bytes.replace(/^<(\w+)/, "<$1 xmlns='jabber:client'")));
    const end = stanzas.pop()!;
    expect(end.name).to.equal('iq');
    const results = stanzas.map((message) => {
      expect(message.attribute('from')).to.equal(actor.session.account.jid.bare);
      const result = message.child('result', MAM)!;
      expect(result.attribute('queryid')).to.equal(queryId);
      const original = result.child('forwarded', 'urn:xmpp:forward:0')!.child('message', 'jabber:client')!;
      return { id: result.attribute('id')!, body: original.child('body')?.text ?? '', result };
    });
    const fin = end.child('fin', MAM);
    const page = fin?.child('set', 'http://jabber.org/protocol/rsm');
    return {
      results,
      complete: fin?.attribute('complete') === 'true',
      first: page?.child('first')?.text,
      last: page?.child('last')?.text,
      error: end.child('error')?.children[0]?.name,
    };
  }

  const bodies = ({ results }: Answer): string => results.map(({ body }) => body).join(' ');

  it('Examples 2 to 4: sends what matches in order, in the form of XEP-0297, and then the end', async () => {
    await dialogue(3);
    const answer = await ask(juliet);
    expect(bodies(answer)).to.equal('1 2 n 3');
    expect(answer.complete).to.equal(true);
    expect([answer.first, answer.last]).to.deep.equal([answer.results[0]!.id, answer.results[3]!.id]);
    const forwarded = answer.results[0]!.result.child('forwarded', 'urn:xmpp:forward:0')!;
    expect(forwarded.child('delay', 'urn:xmpp:delay')?.attribute('stamp')).to.match(
      /^\d{4}-\d\d-\d\dT00:00:00\.\d{6}Z$/,
    );
    const message = forwarded.child('message', 'jabber:client')!;
    expect([message.attribute('from'), message.attribute('to')]).to.deep.equal([`${ROMEO}/orchard`, JULIET]);
    expect(message.child('sequence', 'urn:posthorn:sequence:0')?.attributes).to.deep.equal({
      by: 'example.com',
      chat: ROMEO,
      n: '1',
    });
    expect(message.child('stanza-id', 'urn:xmpp:sid:0')?.attributes).to.deep.equal({
      by: JULIET,
      id: answer.results[0]!.id,
    });
  });

  it('3.4: gives the recipient of a live message the id it has in the archive', async () => {
    await say(romeo, JULIET, 'one');
    const id = /<stanza-id xmlns='urn:xmpp:sid:0' by='juliet@example.com' id='([\w-]+)'\/>/.exec(
      juliet.take().join(''),
    );
    expect((await ask(juliet)).results.map((result) => result.id)).to.deep.equal([id?.[1]]);
    expect((await ask(romeo)).results[0]!.id).to.not.equal(id?.[1]);
  });

  it('Example 6: filters by contact, bare or full; a message to oneself by one’s own address', async () => {
    await dialogue(4);
    await say(juliet, JULIET, 'note');
    juliet.take();
    expect(bodies(await ask(juliet, form(field('with', ROMEO))))).to.equal('1 2 3 4');
    expect(bodies(await ask(juliet, form(field('with', NURSE))))).to.equal('n');
    // What Juliet sent went to the bare address.
    expect(bodies(await ask(juliet, form(field('with', `${ROMEO}/orchard`))))).to.equal('1 3');
    expect(bodies(await ask(juliet, form(field('with', `${ROMEO}/tomb`))))).to.equal('');
    expect(bodies(await ask(juliet, form(field('with', JULIET))))).to.equal('note');
    expect(bodies(await ask(juliet, form(field('with', 'paris@example.com'))))).to.equal('');
    expect(await ask(juliet, form(field('with', '@')))).to.have.property('error', 'bad-request');
  });

  it('Examples 7 and 8: filters by time, both ends included', async () => {
    await dialogue(4);
    const stamps = (await ask(juliet)).results.map(({ result }) =>
      result.children[0]!.child('delay', 'urn:xmpp:delay')!.attribute('stamp')!,
    );
    expect(bodies(await ask(juliet, form(field('start', stamps[1]!))))).to.equal('2 n 3 4');
    expect(bodies(await ask(juliet, form(field('end', stamps[1]!))))).to.equal('1 2');
    expect(bodies(await ask(juliet, form(field('start', stamps[1]!), field('end', stamps[2]!))))).to.equal('2 n');
    expect(bodies(await ask(juliet, form(field('with', ROMEO), field('start', stamps[2]!))))).to.equal('3 4');
    expect(bodies(await ask(juliet, form(field('start', '1597-01-01T01:00:00+01:00'))))).to.equal('1 2 n 3 4');
    expect(bodies(await ask(juliet, form(field('end', '9999-12-31T23:59:59.9999999Z'))))).to.equal('1 2 n 3 4');
    expect(bodies(await ask(juliet, form(field('start', '9999-12-31T23:59:59Z'))))).to.equal('');
    expect(bodies(await ask(juliet, form(field('end', '1596-12-31T23:59:59Z'))))).to.equal('');
    expect(await ask(juliet, form(field('start', 'yesterday')))).to.have.property('error', 'bad-request');
  });

  it('Examples 9 to 11: filters by ids, and knows which are not there', async () => {
    await dialogue(4);
    const ids = (await ask(juliet)).results.map(({ id }) => id);
    expect(bodies(await ask(juliet, form(field('after-id', ids[1]!))))).to.equal('n 3 4');
    expect(bodies(await ask(juliet, form(field('before-id', ids[1]!))))).to.equal('1');
    expect(bodies(await ask(juliet, form(field('after-id', ids[0]!), field('before-id', ids[3]!))))).to.equal('2 n');
    expect(bodies(await ask(juliet, form(field('ids', ids[3]!, ids[0]!))))).to.equal('1 3');
    expect(bodies(await ask(juliet, form(field('ids', ids[2]!, ids[1]!), field('with', ROMEO))))).to.equal('2');
    const foreign = (await ask(romeo)).results[0]!.id;
    for (const unknown of ['no-such-id', foreign]) {
      for (const name of ['after-id', 'before-id', 'ids']) {
        expect(await ask(juliet, form(field(name, unknown))), name).to.have.property('error', 'item-not-found');
      }
      for (const name of ['after', 'before']) {
        expect(await ask(juliet, set(`<${name}>${unknown}</${name}>`)), name).to.have.property(
          'error',
          'item-not-found',
        );
      }
    }
  });

  it('Examples 12 and 13: understands include-groupchat, of which there is none here', async () => {
    await dialogue(1);
    for (const value of ['true', 'false']) {
      expect(bodies(await ask(juliet, form(field('include-groupchat', value))))).to.equal('1');
    }
  });

  it('Examples 14 to 16: describes its form, and refuses fields it does not know', async () => {
    await juliet.send(`<iq type='get' id='form1'><query xmlns='${MAM}'/></iq>`);
    const answer = elementOf(juliet.take()[0]!);
    const fields = answer.children[0]!.child('x', 'jabber:x:data')!.childrenNamed('field');
    expect(fields.map((one) => `${one.attribute('var')} ${one.attribute('type')}`)).to.have.members([
      'FORM_TYPE hidden',
      'with jid-single',
      'start text-single',
      'end text-single',
      'before-id text-single',
      'after-id text-single',
      'ids list-multi',
      'include-groupchat boolean',
    ]);
    const search = field('{http://example.com/}free-text-search', 'Where arth thou, my Juliet?');
    expect(await ask(juliet, form(search))).to.have.property('error', 'feature-not-implemented');
    const other = form().replace(MAM, 'urn:example');
    expect(await ask(juliet, other)).to.have.property('error', 'bad-request');
  });

  for (const filter of ['', form(field('with', ROMEO))]) {
    it(`Examples 20 to 22: pages forwards and backwards, ${filter === '' ? 'through all' : 'through one chat'}`, async () => {
      await dialogue(7);
      const all = (await ask(juliet, filter)).results.map(({ body }) => body);
      const forwards: string[] = [];
      let position = '';
      for (let pages = 0; pages < 9; pages++) {
        const page = await ask(juliet, filter + set(`<max>3</max>${position}`));
        forwards.push(...page.results.map(({ body }) => body));
        expect(page.complete).to.equal(forwards.length === all.length);
        if (page.complete) break;
        position = `<after>${page.last!}</after>`;
      }
      expect(forwards).to.deep.equal(all);
      const backwards: string[] = [];
      position = '<before/>';
      for (let pages = 0; pages < 9; pages++) {
        const page = await ask(juliet, filter + set(`<max>3</max>${position}`));
        backwards.unshift(...page.results.map(({ body }) => body));
        expect(page.complete).to.equal(backwards.length === all.length);
        if (page.complete) break;
        position = `<before>${page.first!}</before>`;
      }
      expect(backwards).to.deep.equal(all);
    });
  }

  it('4.4.2: an empty page has neither first nor last, and what lies at its end is complete', async () => {
    await dialogue(2);
    const { last } = await ask(juliet);
    const empty = await ask(juliet, set(`<after>${last!}</after>`));
    expect(empty).to.deep.equal({ results: [], complete: true, first: undefined, last: undefined, error: undefined });
    expect(await ask(juliet, set('<max>0</max>'))).to.include({ complete: false, first: undefined, error: undefined });
    // XEP-0059 2.7: the count of the whole archive; of a part it is not known without reading that.
    const counted = async (filter = ''): Promise<string | undefined> => {
      await juliet.send(`<iq id='count' type='set'><query xmlns='${MAM}'>${filter}${set('<max>0</max>')}</query></iq>`);
      return /<count>(\d+)<\/count>/.exec(juliet.take().join(''))?.[1];
    };
    expect(await counted()).to.equal(String((await ask(juliet)).results.length));
    expect(await counted(form(field('with', ROMEO)))).to.equal(undefined);
    expect(await ask(juliet, set('<max>many</max>'))).to.have.property('error', 'bad-request');
    expect(await ask(juliet, set('<index>3</index>'))).to.have.property('error', 'feature-not-implemented');
  });

  it('4.4.1: limits pages itself', async () => {
    await begin({ POSTHORN_ARCHIVE_PAGE_MESSAGES: '2', POSTHORN_ARCHIVE_MAX_PAGE_MESSAGES: '3' });
    await dialogue(5);
    expect(bodies(await ask(juliet))).to.equal('1 2');
    expect(bodies(await ask(juliet, set('<max>100</max>')))).to.equal('1 2 n');
  });

  it('Example 23: a flipped page holds the same messages, the latest first', async () => {
    await dialogue(4);
    const straight = await ask(juliet, set('<max>3</max><before/>'));
    const flipped = await ask(juliet, `${set('<max>3</max><before/>')}<flip-page/>`);
    expect(bodies(straight)).to.equal('n 3 4');
    expect(bodies(flipped)).to.equal('4 3 n');
    expect([flipped.first, flipped.last]).to.deep.equal([straight.first, straight.last]);
  });

  it('Examples 24 and 25: tells the first and the last message', async () => {
    await juliet.send(`<iq type='get' id='jui8921rr9'><metadata xmlns='${MAM}'/></iq>`);
    expect(juliet.take()[0]).to.include(`<metadata xmlns='${MAM}'/>`);
    await dialogue(3);
    const { first, last } = await ask(juliet);
    await juliet.send(`<iq type='get' id='jui8921rr9'><metadata xmlns='${MAM}'/></iq>`);
    const [start, end] = elementOf(juliet.take()[0]!).children[0]!.children;
    expect([start?.attribute('id'), end?.attribute('id')]).to.deep.equal([first, last]);
    expect(start?.attribute('timestamp')).to.match(/^\d{4}-\d\d-\d\dT00:00:00\.\d{6}Z$/);
  });

  it('6.1.1: archives conversation, not what passes (XEP-0334, XEP-0085)', async () => {
    const kept = [
      `type='chat'><body>x</body>`,
      `type='normal'><body>x</body>`,
      `type='chat'><reactions id='a' xmlns='urn:xmpp:reactions:0'><reaction>+</reaction></reactions>`,
      `type='chat'><received xmlns='urn:xmpp:receipts' id='a'/>`,
      `type='chat'><displayed xmlns='urn:xmpp:chat-markers:0' id='a'/>`,
      `type='chat'><propose xmlns='urn:xmpp:jingle-message:0' id='a'/><store xmlns='urn:xmpp:hints'/>`,
      `type='chat'><unknown xmlns='urn:example'/><store xmlns='urn:xmpp:hints'/>`,
      `type='chat'><body>x</body><replace id='a' xmlns='urn:xmpp:message-correct:0'/>`,
      `type='chat'><retract id='none' xmlns='urn:xmpp:message-retract:1'/><store xmlns='urn:xmpp:hints'/>`,
    ];
    const passing = [
      `type='chat'><composing xmlns='http://jabber.org/protocol/chatstates'/>`,
      `type='chat'><body>x</body><no-store xmlns='urn:xmpp:hints'/>`,
      `type='chat'><body>x</body><no-permanent-store xmlns='urn:xmpp:hints'/>`,
      `type='headline'><body>x</body>`,
      `type='error'><body>x</body><error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`,
      `type='groupchat'><body>x</body>`,
    ];
    for (const message of [...kept, ...passing])
      await romeo.send(`<message to='${JULIET}/balcony' ${message}</message>`);
    for (const actor of [juliet, romeo]) actor.take();
    expect((await ask(juliet)).results).to.have.lengthOf(kept.length);
    expect((await ask(romeo)).results).to.have.lengthOf(kept.length);
  });

  it('6.1.1: does not archive what the recipient refused', async () => {
    await say(juliet, 'nobody@example.com', 'x');
    juliet.take();
    expect((await ask(juliet)).results).to.deep.equal([]);
  });

  it('Example 27: is announced where the archive is', async () => {
    await juliet.send(
      `<iq type='get' id='disco1' to='${JULIET}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`,
    );
    const info = juliet.take()[0]!;
    for (const feature of [
      MAM,
      `${MAM}#extended`,
      `${MAM}#groupchat-field`,
      'urn:xmpp:sid:0',
      'http://jabber.org/protocol/rsm',
    ]) {
      expect(info).to.include(`<feature var='${feature}'/>`);
    }
    await begin({ POSTHORN_MESSAGES_HISTORY: 'off' });
    await juliet.send(
      `<iq type='get' id='disco1' to='${JULIET}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`,
    );
    expect(juliet.take()[0]).to.not.include(MAM);
  });

  it('7.1: is nobody else’s, and a stranger is not even told that there is one', async () => {
    await dialogue(1);
    for (const [actor, condition] of [
      [nurse, 'service-unavailable'],
      [romeo, 'forbidden'],
    ] as const) {
      if (actor === romeo) {
        await juliet.send(`<presence to='${ROMEO}' type='subscribed'/>`);
        await romeo.send(`<presence to='${JULIET}' type='subscribe'/>`);
        await juliet.send(`<presence to='${ROMEO}' type='subscribed'/>`);
        romeo.take();
      }
      for (const request of [
        `type='set' id='q'><query xmlns='${MAM}'/>`,
        `type='get' id='q'><metadata xmlns='${MAM}'/>`,
      ]) {
        await actor.send(`<iq to='${JULIET}' ${request}</iq>`);
        expect(actor.take().join('')).to.include(`<${condition} `).and.not.include('<body>');
      }
    }
  });

  it('does not fill the memory for a client that does not read', async () => {
    await dialogue(4);
    const { session } = juliet;
    session.startAcknowledging();
    // Half of what may wait for it is there already.
    for (let count = 0; count < 501; count++)
      await juliet.send(`<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>`);
    juliet.take();
    stage.put(session, `<iq type='set' id='q'><query xmlns='${MAM}'/></iq>`);
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(juliet.take()).to.deep.equal([]);
    session.acknowledge(501);
    stage.clock.advance(100);
    await stage.settle();
    expect(juliet.take()).to.have.lengthOf(6);
  });

  it('ends a query with its session', async () => {
    await dialogue(4);
    const { session } = juliet;
    session.startAcknowledging();
    for (let count = 0; count < 501; count++)
      await juliet.send(`<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>`);
    stage.put(session, `<iq type='set' id='q'><query xmlns='${MAM}'/></iq>`);
    stage.core.table.end(session);
    stage.clock.advance(100);
    await stage.settle();
    expect(session.inbound.outstanding).to.equal(0);
  });

  describe('preferences (XEP-0441)', () => {
    const prefs = (byDefault: string, always = '', never = ''): string =>
      `<iq type='set' id='juliet3'><prefs xmlns='${MAM}' default='${byDefault}'><always>${always}</always><never>${never}</never></prefs></iq>`;

    it('Examples 1, 2, 4 and 5: are told, changed, and kept', async () => {
      await juliet.send(`<iq type='get' id='juliet2'><prefs xmlns='${MAM}'/></iq>`);
      expect(juliet.take()[0]).to.include(`<prefs xmlns='${MAM}' default='always'><always/><never/></prefs>`);
      await juliet.send(prefs('roster', '<jid>romeo@montague.lit</jid>', '<jid>montague@montague.lit</jid>'));
      const applied = `<prefs xmlns='${MAM}' default='roster'><always><jid>romeo@montague.lit</jid></always><never><jid>montague@montague.lit</jid></never></prefs>`;
      expect(juliet.take()[0]).to.include(applied);
      await juliet.send(`<iq type='get' id='juliet2'><prefs xmlns='${MAM}'/></iq>`);
      expect(juliet.take()[0]).to.include(applied);
      expect(await stage.storage.documents.get(JULIET, 'archive-preferences')).to.equal(applied);
    });

    it('begin as configured', async () => {
      await begin({ POSTHORN_ARCHIVE_DEFAULT: 'never' });
      await dialogue(2);
      expect((await ask(juliet)).results).to.deep.equal([]);
    });

    it('2.1.2 to 2.2: decide for each side of its own; never is delivered all the same', async () => {
      await juliet.send(prefs('always', '', `<jid>${ROMEO}</jid>`));
      juliet.take();
      await say(romeo, JULIET, '1');
      await say(nurse, JULIET, '2');
      expect(juliet.take()).to.have.lengthOf(2);
      await say(juliet, ROMEO, '3');
      romeo.take();
      expect(bodies(await ask(juliet))).to.equal('2');
      expect(bodies(await ask(romeo))).to.equal('1 3');
    });

    it('2.1.1: roster means contacts', async () => {
      await juliet.send(prefs('roster'));
      await juliet.send(`<iq id='r' type='set'><query xmlns='jabber:iq:roster'><item jid='${NURSE}'/></query></iq>`);
      juliet.take();
      await dialogue(2);
      expect(bodies(await ask(juliet))).to.equal('n');
    });

    it('2.3: compare a listed full JID as it is, before a bare one', async () => {
      await juliet.send(prefs('never', `<jid>${ROMEO}/orchard</jid>`, `<jid>${ROMEO}</jid>`));
      juliet.take();
      const tomb = await stage.actor(`${ROMEO}/tomb`);
      await say(romeo, JULIET, '1');
      await say(tomb, JULIET, '2');
      juliet.take();
      expect(bodies(await ask(juliet))).to.equal('1');
    });

    it('wait for who is away though they are not archived, and leave nothing behind', async () => {
      await juliet.send(prefs('never'));
      await juliet.leave();
      await say(romeo, JULIET, '1');
      const again = await stage.actor(`${JULIET}/chamber`);
      await again.send('<presence/>');
      expect(again.take().join('')).to.include('<body>1</body>').and.not.include('stanza-id');
      again.session.flushed(again.session.flushMark());
      await stage.core.table.saveCursors();
      expect(await stage.storage.log.page(JULIET, { limit: 5 })).to.deep.equal([]);
    });

    it('refuse nonsense', async () => {
      for (const [request, condition] of [
        [prefs('sometimes'), 'bad-request'],
        [prefs('always', '<jid>@</jid>'), 'jid-malformed'],
      ] as const) {
        await juliet.send(request);
        expect(juliet.take()[0]).to.include(`<${condition} `);
      }
      await begin({ POSTHORN_ARCHIVE_MAX_PREFERENCES: '1' });
      await juliet.send(prefs('always', '<jid>a@b</jid><jid>c@d</jid>'));
      expect(juliet.take()[0]).to.include('<policy-violation ');
    });
  });
});
