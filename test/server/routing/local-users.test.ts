import { expect } from 'chai';

import { Stage, type Actor } from '../../support/core.ts';

const JULIET = 'juliet@example.com';
const MERCUTIO = 'mercutio@example.org'; // on another server; he and Juliet see each other

/** Her resources, each with the priority of its presence; null: connected and not available. */
const CONDITIONS = {
  'no such user': undefined,
  'no resource': {},
  'connected only': { balcony: null },
  'only negative': { balcony: -1 },
  'one non-negative': { balcony: 1, crypt: -1 },
  'several non-negative': { balcony: 5, chamber: 5, orchard: 1, crypt: -1 },
} as const satisfies Record<string, Readonly<Record<string, number | null>> | undefined>;

type Condition = keyof typeof CONDITIONS;

const ADDRESSES = { bare: JULIET, match: `${JULIET}/balcony`, 'no match': `${JULIET}/garden` } as const;
type To = keyof typeof ADDRESSES;

/*
 * RFC 6121 8.5, transcribed. A slash stands between what the RFC lets a server choose from.
 *
 * D to the resource that is addressed       E service-unavailable
 * M to the most available                   O stored for later
 * A to all that are not negative            S nothing, silently
 * V to all that are available               R the server answers in the user's name
 * C the subscription changes                P the server answers with what the user's presence is
 * U the server answers "unsubscribed"
 */
type Row = readonly [condition: Condition, to: To, ...outcomes: string[]];

/** Table 1 of 8.5.4, and for errors 8.5.1, 8.5.2.1.1, 8.5.2.2.1, 8.5.3.1 and 8.5.3.2.1. */
const MESSAGES: readonly Row[] = [
  // normal, chat, groupchat, headline, error
  ['no such user', 'bare', 'S/E', 'S/E', 'E', 'S', 'S/E'],
  ['no such user', 'no match', 'S/E', 'S/E', 'S/E', 'S/E', 'S/E'],
  ['no resource', 'bare', 'O/E', 'O/E', 'E', 'S', 'S'],
  ['no resource', 'no match', 'S/E', 'O/E', 'S/E', 'S/E', 'S'],
  ['connected only', 'bare', 'O/E', 'O/E', 'E', 'S', 'S'],
  ['connected only', 'match', 'D', 'D', 'D', 'D', 'D'],
  ['connected only', 'no match', 'S/E', 'O/E', 'S/E', 'S/E', 'S'],
  ['only negative', 'bare', 'O/E', 'O/E', 'E', 'S', 'S'],
  ['only negative', 'match', 'D', 'D', 'D', 'D', 'D'],
  ['only negative', 'no match', 'S/E', 'O/E', 'S/E', 'S/E', 'S'],
  ['one non-negative', 'bare', 'D', 'D', 'E', 'D', 'S'],
  ['one non-negative', 'match', 'D', 'D', 'D', 'D', 'D'],
  ['one non-negative', 'no match', 'S/E', 'D', 'S/E', 'S/E', 'S'],
  ['several non-negative', 'bare', 'M/A', 'M/A', 'E', 'A', 'S'],
  ['several non-negative', 'match', 'D', 'D/A', 'D', 'D', 'D'],
  ['several non-negative', 'no match', 'S/E', 'M/A', 'S/E', 'S/E', 'S'],
];

/**
 * 8.5.1, 8.5.2.1.2, 8.5.2.2.2, 8.5.3.1 and 8.5.3.2.2. Mercutio is subscribed already: his request is answered by 3.1.3,
 * and he takes his subscription back by 3.3.3.
 */
const PRESENCE: readonly Row[] = [
  // available, unavailable, subscribe, subscribed, unsubscribe, unsubscribed, probe
  ['no such user', 'bare', 'S', 'S', 'S', 'S', 'S', 'S', 'S/U'],
  ['no such user', 'no match', 'S', 'S', 'S', 'S', 'S', 'S', 'S/U'],
  ['no resource', 'bare', 'S', 'S', 'R', 'S', 'C', 'C', 'P'],
  ['no resource', 'no match', 'S', 'S', 'R', 'S', 'S', 'S', 'P'],
  ['connected only', 'bare', 'S', 'S', 'R', 'S', 'C', 'C', 'P'],
  ['connected only', 'match', 'D', 'D', 'R', 'S', 'C', 'C', 'P'],
  ['connected only', 'no match', 'S', 'S', 'R', 'S', 'S', 'S', 'P'],
  ['only negative', 'bare', 'V', 'V', 'R', 'S', 'C', 'C', 'P'],
  ['only negative', 'match', 'D', 'D', 'R', 'S', 'C', 'C', 'P'],
  ['only negative', 'no match', 'S', 'S', 'R', 'S', 'S', 'S', 'P'],
  ['one non-negative', 'bare', 'V', 'V', 'R', 'S', 'C', 'C', 'P'],
  ['one non-negative', 'match', 'D', 'D', 'R', 'S', 'C', 'C', 'P'],
  ['one non-negative', 'no match', 'S', 'S', 'R', 'S', 'S', 'S', 'P'],
  ['several non-negative', 'bare', 'V', 'V', 'R', 'S', 'C', 'C', 'P'],
  ['several non-negative', 'match', 'D', 'D', 'R', 'S', 'C', 'C', 'P'],
  ['several non-negative', 'no match', 'S', 'S', 'R', 'S', 'S', 'S', 'P'],
];

/**
 * 8.5.1, 8.5.2.1.3, 8.5.2.2.3, 8.5.3.1 and 8.5.3.2.3. Requests of a namespace that the server knows for accounts, and of
 * one that it does not. Where it says "IQ stanza", results and errors are not meant: RFC 6120 8.3.1 lets nobody answer those.
 */
const REQUESTS: readonly Row[] = [
  // get of what is known, get, set, result, error
  ['no such user', 'bare', 'E', 'E', 'E', 'S', 'S'],
  ['no such user', 'no match', 'E', 'E', 'E', 'S', 'S'],
  ['no resource', 'bare', 'R', 'E', 'E', 'S', 'S'],
  ['no resource', 'no match', 'E', 'E', 'E', 'S', 'S'],
  ['connected only', 'bare', 'R', 'E', 'E', 'S', 'S'],
  ['connected only', 'match', 'D', 'D', 'D', 'D', 'D'],
  ['connected only', 'no match', 'E', 'E', 'E', 'S', 'S'],
  ['only negative', 'bare', 'R', 'E', 'E', 'S', 'S'],
  ['only negative', 'match', 'D', 'D', 'D', 'D', 'D'],
  ['only negative', 'no match', 'E', 'E', 'E', 'S', 'S'],
  ['one non-negative', 'bare', 'R', 'E', 'E', 'S', 'S'],
  ['one non-negative', 'match', 'D', 'D', 'D', 'D', 'D'],
  ['one non-negative', 'no match', 'E', 'E', 'E', 'S', 'S'],
  ['several non-negative', 'bare', 'R', 'E', 'E', 'S', 'S'],
  ['several non-negative', 'match', 'D', 'D', 'D', 'D', 'D'],
  ['several non-negative', 'no match', 'E', 'E', 'E', 'S', 'S'],
];

const message = (type: string) => (to: string) =>
  `<message from='${MERCUTIO}/street' to='${to}' type='${type}' id='x'><body>Ask for me tomorrow</body></message>`;
const presence =
  (type: string, resource = '') =>
  (to: string) =>
    `<presence from='${MERCUTIO}${resource}' to='${to}'${type === '' ? '' : ` type='${type}'`} id='x'/>`;
const iq =
  (type: string, content = '') =>
  (to: string) =>
    `<iq from='${MERCUTIO}/street' to='${to}' type='${type}' id='x'>${content}</iq>`;
const PING = `<ping xmlns='urn:xmpp:ping'/>`;
const UNKNOWN = `<query xmlns='urn:example:unknown'/>`;
const ERROR = `<error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`;

/**
 * What we do where the RFC leaves a choice. Errors are never answered (RFC 6120 8.3.1), and what is for nobody is refused only
 * where words would be lost (strangers.test.ts).
 */
function choiceOf(allowed: string, type: string, condition: Condition): string {
  if (allowed === 'S/E') {
    const isRefused = condition === 'no such user' ? type === 'normal' || type === 'chat' : type !== 'error';
    return isRefused ? 'E' : 'S';
  }
  return { 'O/E': 'O', 'M/A': 'M', 'D/A': 'D', 'S/U': 'U' }[allowed] ?? allowed;
}

interface Scene {
  readonly stage: Stage;
  readonly actors: ReadonlyMap<string, Actor>;
}

async function enter(condition: Condition): Promise<Scene> {
  const resources = CONDITIONS[condition];
  const stage = await Stage.open(resources === undefined ? [] : [JULIET]);
  const actors = new Map<string, Actor>();
  if (resources === undefined) return { stage, actors };
  const item = { jid: MERCUTIO, name: '', groups: [], subscription: 'both', isListed: true } as const;
  await stage.storage.rosters.save(JULIET, 1, [{ ...item, ask: false, approved: false, request: undefined }], []);
  for (const [name, priority] of Object.entries(resources)) {
    const actor = await stage.actor(`${JULIET}/${name}`);
    actors.set(name, actor);
    if (priority === null) await actor.send(`<iq id='r' type='get'><query xmlns='jabber:iq:roster'/></iq>`);
    else await actor.enter(`<presence><priority>${priority}</priority></presence>`);
  }
  for (const actor of actors.values()) actor.take();
  stage.takeAbroad();
  return { stage, actors };
}

/** What became of a stanza, in the letters of the tables. */
async function outcomeOf({ stage, actors }: Scene, to: string): Promise<string> {
  const receivers: string[] = [];
  for (const [name, actor] of actors) {
    const came = actor.take().filter((stanza) => stanza.includes(` from='${MERCUTIO}`));
    expect(came.length, `${name} received`).to.be.lessThan(2);
    if (came.length === 0) continue;
    receivers.push(name);
    // 8.5.2.1.1, 8.5.2.1.2: what is for the bare JID is not rewritten
    if (!/type='(un)?subscribed?'/.test(came[0]!)) expect(came[0]).to.include(` to='${to}'`);
  }
  const answers = stage.takeAbroad();
  const isChanged = (await stage.storage.rosters.load(JULIET)).items.some(
    ({ subscription }) => subscription !== 'both',
  );
  if (isChanged) return 'C';
  if (receivers.length > 0) {
    expect(answers).to.deep.equal([]);
    return receivers.join(' ');
  }
  const [answer = ''] = answers;
  if (answer.includes('<service-unavailable ')) return 'E';
  if (/^<presence [^>]*type='unsubscribed'/.test(answer)) return 'U';
  if (/^<iq [^>]*type='result'|^<presence [^>]*type='subscribed'/.test(answer)) return 'R';
  if (answer.startsWith('<presence ')) return 'P';
  expect(answer).to.equal('');
  const { count } = await stage.storage.log.pendingUsage(JULIET);
  return count > 0 ? 'O' : 'S';
}

/** The letters that stand for somebody, as the names of the resources. */
function receiversOf(letter: string, condition: Condition): string {
  const resources = Object.entries<number | null>(CONDITIONS[condition] ?? {});
  const names = (isMeant: (priority: number | null) => boolean): string =>
    resources
      .filter(([, priority]) => isMeant(priority))
      .map(([name]) => name)
      .join(' ');
  switch (letter) {
    case 'D':
      return 'balcony';
    case 'M':
      return names((priority) => priority === 5);
    case 'A':
      return names((priority) => priority !== null && priority >= 0);
    case 'V':
      return names((priority) => priority !== null);
    default:
      return letter;
  }
}

function play(rows: readonly Row[], columns: readonly (readonly [name: string, (to: string) => string])[]): void {
  for (const [condition, to, ...outcomes] of rows) {
    for (const [index, [name, write]] of columns.entries()) {
      const allowed = outcomes[index]!;
      it(`${condition}, ${to}, ${name}: ${allowed}`, async () => {
        const scene = await enter(condition);
        await scene.stage.receive(write(ADDRESSES[to]));
        const expected = receiversOf(choiceOf(allowed, name, condition), condition);
        expect(await outcomeOf(scene, ADDRESSES[to])).to.equal(expected);
      });
    }
  }
}

describe('RFC 6121 8.5: what becomes of a stanza to a local user', () => {
  it('every table has a row for each condition and address', () => {
    const wanted = Object.entries(CONDITIONS).flatMap(([condition, resources]) =>
      Object.keys(ADDRESSES)
        .filter((to) => to !== 'match' || (resources !== undefined && 'balcony' in resources))
        .map((to) => `${condition}, ${to}`),
    );
    for (const rows of [MESSAGES, PRESENCE, REQUESTS]) {
      expect(rows.map(([condition, to]) => `${condition}, ${to}`)).to.have.members(wanted);
    }
  });

  describe('a message of type', () => {
    play(
      MESSAGES,
      (['normal', 'chat', 'groupchat', 'headline', 'error'] as const).map((type) => [type, message(type)]),
    );
  });

  describe('presence', () => {
    play(PRESENCE, [
      ['available', presence('', '/street')],
      ['unavailable', presence('unavailable', '/street')],
      ['subscribe', presence('subscribe')],
      ['subscribed', presence('subscribed')],
      ['unsubscribe', presence('unsubscribe')],
      ['unsubscribed', presence('unsubscribed')],
      ['probe', presence('probe')],
    ]);
  });

  describe('an IQ', () => {
    play(REQUESTS, [
      ['get of what the server knows', iq('get', PING)],
      ['get', iq('get', UNKNOWN)],
      ['set', iq('set', UNKNOWN)],
      ['result', iq('result')],
      ['error', iq('error', UNKNOWN + ERROR)],
    ]);
  });
});
