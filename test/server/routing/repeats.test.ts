import { expect } from 'chai';
import fc from 'fast-check';
import type { Inbound } from '../../../server/routing/account.ts';
import { StanzaError } from '../../../stanzas/stanza-error.ts';
import { MemoryStore } from '../../../storage/backends/memory.ts';
import type { OrderedStore } from '../../../storage/ordered-store.ts';
import { Stage, type Actor } from '../../support/core.ts';
import { TroubledStore } from '../../support/troubled-store.ts';

const ROMEO = 'romeo@example.net';
const JULIET = 'juliet@example.com';
const ABROAD = 'mercutio@example.org';

function message(to: string, id: string, body: string, more = ''): string {
  return `<message to='${to}' type='chat' id='${id}'><body>${body}</body>${more}</message>`;
}

function original(to: string, id: string, body: string, more = ''): string {
  return message(to, id, body, `<origin-id xmlns='urn:xmpp:sid:0' id='${id}'/>${more}`);
}

/** A server over an empty store, or one that goes on where another was killed. */
function openOver(store: OrderedStore, before?: Stage): Promise<Stage> {
  return Stage.open(before === undefined ? [ROMEO, JULIET] : [], { store, ...(before && { clock: before.clock }) });
}

async function archivedBodies(stage: Stage, owner: string): Promise<string[]> {
  const entries = await stage.storage.log.page(owner, { limit: 1000 });
  return entries.map(({ stanza }) => /<body>(.*?)<\/body>/.exec(stanza)?.[1] ?? '');
}

describe('a message that is sent again', () => {
  let store: MemoryStore;
  let stage: Stage;
  let juliet: Actor;
  let romeo: Actor;

  beforeEach(async () => {
    store = new MemoryStore();
    stage = await openOver(store);
    juliet = await stage.actor(`${JULIET}/balcony`);
    romeo = await stage.actor(`${ROMEO}/orchard`);
    await juliet.enter();
    await romeo.enter();
  });

  it('is recorded, numbered and delivered once, and acknowledged again', async () => {
    await juliet.send(original(ROMEO, 'a', 'one'));
    await juliet.leave();
    const again = await stage.actor(`${JULIET}/balcony`);
    await again.send(original(ROMEO, 'a', 'one'));
    expect(again.session.inbound.handled).to.equal(1);
    await again.send(original(ROMEO, 'b', 'two'));
    const received = romeo.take().filter((stanza) => stanza.includes('<body>'));
    expect(received.map((stanza) => / n='(\d+)'/.exec(stanza)?.[1])).to.deep.equal(['1', '2']);
    expect(await archivedBodies(stage, ROMEO)).to.deep.equal(['one', 'two']);
    expect(await archivedBodies(stage, JULIET)).to.deep.equal(['one', 'two']);
  });

  it('is known though delay, hints and chat states differ, and not where the content does', async () => {
    await juliet.send(original(ROMEO, 'a', 'one', `<active xmlns='http://jabber.org/protocol/chatstates'/>`));
    await juliet.send(
      original(
        ROMEO,
        'a',
        'one',
        `<delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/><store xmlns='urn:xmpp:hints'/>`,
      ),
    );
    expect(await archivedBodies(stage, ROMEO)).to.deep.equal(['one']);
    await juliet.send(original(ROMEO, 'a', 'another'));
    await juliet.send(original(ABROAD, 'a', 'one'));
    expect(await archivedBodies(stage, ROMEO)).to.deep.equal(['one', 'another']);
    expect(await archivedBodies(stage, JULIET)).to.deep.equal(['one', 'another', 'one']);
  });

  it('goes to another server once', async () => {
    await juliet.send(original(ABROAD, 'a', 'one'));
    await juliet.send(original(ABROAD, 'a', 'one'));
    expect(stage.takeAbroad()).to.have.lengthOf(1);
    expect(juliet.session.inbound.handled).to.equal(4); // roster, presence and both
  });

  it('is known however much came back meanwhile', async () => {
    await juliet.send(original(ABROAD, 'a', 'one'));
    const { sendKeys, commit } = stage.storage;
    const sentAt = (await sendKeys.load(JULIET, 0)).at(-1)!.position;
    const returned = Array.from({ length: 8200 }, (_, n) => ({ first: n, second: n, position: sentAt + 1 + n }));
    await commit.write(returned.flatMap((key) => sendKeys.returnedWrites(JULIET, key)));
    stage = await openOver(store, stage);
    juliet = await stage.actor(`${JULIET}/balcony`);
    await juliet.send(original(ABROAD, 'a', 'one'));
    expect(await archivedBodies(stage, JULIET)).to.deep.equal(['one']);
  });

  it('leaves nothing to know it by where it came back and was not to be known', async () => {
    const listener = { committed: () => undefined, refused: () => undefined };
    stage.core.router.setRemote({
      receive: ({ stanza, receipt }) => {
        receipt?.settle();
        stage.core.router.giveBack(stanza, new StanzaError('remote-server-timeout'), { writes: [], listener });
      },
    });
    const room = 'hall@conference.example.edu';
    await juliet.send(`<message to='${room}' type='groupchat' id='a'><body>one</body></message>`);
    expect(juliet.take().join('')).to.include('remote-server-timeout');
    expect(await stage.storage.sendKeys.load(JULIET, 0)).to.deep.equal([]);
  });

  describe('to a component, which keeps nothing over a crash', () => {
    const NURSE = 'nurse@gateway.example.com';
    let given: Inbound[];

    /** A server over the same store, and Juliet's new session on it. */
    async function reopen(): Promise<void> {
      stage = await openOver(store, stage);
      stage.advance();
      juliet = await stage.actor(`${JULIET}/balcony`);
      stage.core.router.addService('gateway.example.com', { receive: (item) => void given.push(item) });
    }

    /** Juliet sends it, and the component has it before it; what became of it is not known yet. */
    async function give(): Promise<Inbound> {
      const count = given.length + 1;
      stage.put(juliet.session, original(NURSE, 'a', 'one'));
      while (given.length < count) await new Promise((resolve) => setImmediate(resolve));
      return given[count - 1]!;
    }

    beforeEach(async () => {
      given = [];
      await reopen();
    });

    it('reaches it after a crash before it was taken, though it was recorded', async () => {
      await give();
      expect(juliet.session.inbound.handled).to.equal(0);
      expect(await archivedBodies(stage, JULIET)).to.deep.equal(['one']);
      await reopen();
      (await give()).receipt?.settle();
      await stage.settle();
      expect(juliet.session.inbound.handled).to.equal(1);
    });

    it('is known once it was taken, also after a crash', async () => {
      (await give()).receipt?.settle();
      await juliet.send(original(NURSE, 'a', 'one'));
      await reopen();
      await juliet.send(original(NURSE, 'a', 'one'));
      expect(juliet.session.inbound.handled).to.equal(1);
      expect(given).to.have.lengthOf(1);
    });

    it('waits while the first is under way, and is known when that is taken', async () => {
      const first = await give();
      stage.put(juliet.session, original(NURSE, 'a', 'one'));
      for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
      expect(given).to.have.lengthOf(1);
      expect(juliet.session.inbound.outstanding).to.equal(2);
      first.receipt?.settle();
      await stage.settle();
      expect(given).to.have.lengthOf(1);
      expect(juliet.session.inbound.handled).to.equal(2);
    });

    it('is brought to it where the first was taken, and came back to its sender', async () => {
      const { stanza, receipt } = await give();
      receipt?.settle();
      await stage.settle();
      const listener = { committed: () => undefined, refused: () => undefined };
      stage.core.router.giveBack(stanza, new StanzaError('remote-server-timeout'), { writes: [], listener });
      await stage.settle();
      expect(juliet.take().join('')).to.include('remote-server-timeout');
      juliet.session.flushed(juliet.session.flushMark());
      (await give()).receipt?.settle();
      await stage.settle();
      expect(given).to.have.lengthOf(2);
    });

    it('is brought to it where the first was refused', async () => {
      const { stanza, receipt } = await give();
      stage.core.router.answer(stanza, new StanzaError('service-unavailable'), receipt);
      (await give()).receipt?.settle();
      await stage.settle();
      expect(given).to.have.lengthOf(2);
      expect(juliet.take().join('')).to.include('service-unavailable');
    });
  });

  it('is known while the first is on its way to the disk, after a restart, and until it is forgotten', async () => {
    stage.put(juliet.session, original(ROMEO, 'a', 'one'));
    stage.put(juliet.session, original(ROMEO, 'a', 'one'));
    await stage.settle();
    expect(await archivedBodies(stage, ROMEO)).to.deep.equal(['one']);
    stage = await openOver(store, stage);
    juliet = await stage.actor(`${JULIET}/balcony`);
    await juliet.send(original(ROMEO, 'a', 'one'));
    expect(await archivedBodies(stage, ROMEO)).to.deep.equal(['one']);
  });

  it('waits for who is away once, though there is no room for more', async () => {
    stage = await Stage.open([ROMEO, JULIET], { environment: { POSTHORN_OFFLINE_MAX_MESSAGES: '1' } });
    juliet = await stage.actor(`${JULIET}/balcony`);
    await juliet.send(original(ROMEO, 'a', 'one'));
    await juliet.send(original(ROMEO, 'a', 'one'));
    expect(juliet.take()).to.deep.equal([]);
    await juliet.send(original(ROMEO, 'b', 'two'));
    expect(juliet.take().join('')).to.include('service-unavailable');
  });

  it('is asked for again where the store cannot tell whether it is one, rather than taken twice or lost', async () => {
    const troubled = new TroubledStore();
    stage = await openOver(troubled);
    juliet = await stage.actor(`${JULIET}/balcony`);
    await stage.actor(`${ROMEO}/orchard`);
    troubled.isUnreadable = true;
    await juliet.send(original(ROMEO, 'a', 'one'));
    expect(juliet.take().join('')).to.match(/<error type='wait'><resource-constraint /);
    troubled.isUnreadable = false;
    await juliet.send(original(ROMEO, 'a', 'one'));
    expect(await archivedBodies(stage, ROMEO)).to.deep.equal(['one']);
  });

  it('is not taken for one of another sender', async () => {
    await juliet.send(original(ROMEO, 'a', 'one'));
    await romeo.send(original(JULIET, 'a', 'one'));
    await stage.receive(message(JULIET, 'a', 'one').replace('<message', `<message from='${ABROAD}/x'`));
    expect(await archivedBodies(stage, JULIET)).to.deep.equal(['one', 'one', 'one']);
  });

  describe('with no more than the id of its stanza', () => {
    async function bindAgain(): Promise<void> {
      juliet = await stage.actor(`${JULIET}/balcony`);
    }

    beforeEach(() => juliet.send(message(ROMEO, '1', 'ok')));

    it('is known from a resource whose previous stream broke', async () => {
      await juliet.leave();
      stage.advance();
      await bindAgain();
      await juliet.send(message(ROMEO, '1', 'ok'));
      expect(await archivedBodies(stage, ROMEO)).to.deep.equal(['ok']);
    });

    it('is a second one on the same stream, and after a stream that was closed in order', async () => {
      await juliet.send(message(ROMEO, '1', 'ok'));
      expect(await archivedBodies(stage, ROMEO)).to.deep.equal(['ok', 'ok']);
      juliet.session.isClosedInOrder = true;
      await juliet.leave();
      stage.advance();
      await bindAgain();
      await juliet.send(message(ROMEO, '1', 'ok'));
      expect(await archivedBodies(stage, ROMEO)).to.deep.equal(['ok', 'ok', 'ok']);
    });

    it('is a second one from another resource, and two streams later', async () => {
      const chamber = await stage.actor(`${JULIET}/chamber`);
      await juliet.leave();
      await chamber.send(message(ROMEO, '1', 'ok'));
      expect(await archivedBodies(stage, ROMEO)).to.deep.equal(['ok', 'ok']);
      stage.advance();
      await bindAgain();
      await juliet.send(message(ROMEO, '2', 'so'));
      await juliet.leave();
      stage.advance();
      await bindAgain();
      await juliet.send(message(ROMEO, '1', 'ok'));
      expect(await archivedBodies(stage, ROMEO)).to.deep.equal(['ok', 'ok', 'so', 'ok']);
    });

    it('is known after a restart that ended the stream', async () => {
      stage = await openOver(store, stage);
      stage.advance();
      await bindAgain();
      await juliet.send(message(ROMEO, '1', 'ok'));
      expect(await archivedBodies(stage, ROMEO)).to.deep.equal(['ok']);
    });
  });

  it('makes one over any interleaving of sends, cuts, lost acknowledgements, resumptions and restarts', async () => {
    const action = fc.oneof(
      { weight: 6, arbitrary: fc.record({ kind: fc.constant('send' as const), chat: fc.nat({ max: 2 }) }) },
      {
        weight: 3,
        arbitrary: fc.record({ kind: fc.constantFrom('drop' as const, 'restart' as const), lost: fc.nat({ max: 6 }) }),
      },
      {
        weight: 4,
        arbitrary: fc.record({ kind: fc.constantFrom('settle' as const, 'cut' as const, 'resume' as const) }),
      },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 30 }), fc.boolean(), async (actions, hasOriginIds) => {
        const disk = new MemoryStore();
        let place = await openOver(disk);
        let client = await place.actor(`${JULIET}/balcony`);
        const chats = [ROMEO, JULIET, ABROAD];
        const sent: { readonly to: string; readonly bytes: string; readonly body: string }[] = [];
        const arrivedAbroad: string[] = [];
        /** How many the client knows to be accepted: it never sends those again. */
        let known = 0;
        /** How many have reached the server: once the stream is cut, what is sent is lost with it. */
        let seen = 0;
        let isCut = false;
        const sendAgain = (): void => {
          for (const { bytes } of sent.slice(known)) place.put(client.session, bytes);
          seen = sent.length;
          isCut = false;
        };
        const returnAfter = async (lost: number): Promise<void> => {
          place.advance();
          client = await place.actor(`${JULIET}/balcony`);
          // The client knows that all but the last were accepted, and sends those again in their order.
          known = Math.min(seen, Math.max(known, sent.length - lost));
          sendAgain();
        };
        /** XEP-0198 5: the session is the same, and its count tells what has come. */
        const resume = async (): Promise<void> => {
          await place.settle();
          known = seen;
          sendAgain();
        };
        for (const step of actions) {
          switch (step.kind) {
            case 'send': {
              const to = chats[step.chat]!;
              const body = `m${sent.length}`;
              const bytes = hasOriginIds ? original(to, body, body) : message(to, body, body);
              sent.push({ to, bytes, body });
              if (isCut) break;
              place.put(client.session, bytes);
              seen = sent.length;
              break;
            }
            case 'cut':
              isCut = true;
              break;
            case 'resume':
              await resume();
              break;
            case 'settle':
              await place.settle();
              break;
            case 'drop':
              place.core.table.end(client.session);
              await returnAfter(step.lost);
              // What the server had not read when the stream broke is lost with it, unless it is among what comes again.
              break;
            case 'restart':
              await place.settle();
              arrivedAbroad.push(...place.takeAbroad());
              place = await openOver(disk, place);
              await returnAfter(step.lost);
              break;
          }
        }
        await resume();
        await place.settle();
        arrivedAbroad.push(...place.takeAbroad());
        const bodiesTo = (to: string): string[] => sent.filter((one) => one.to === to).map(({ body }) => body);
        expect(await archivedBodies(place, ROMEO)).to.deep.equal(bodiesTo(ROMEO));
        expect(arrivedAbroad.map((stanza) => /<body>(.*?)</.exec(stanza)?.[1])).to.deep.equal(bodiesTo(ABROAD));
        const entries = await place.storage.log.page(JULIET, { limit: 1000 });
        for (const chat of chats) {
          const bodies = entries
            .filter(({ peer }) => peer === chat)
            .map(({ stanza }) => /<body>(.*?)</.exec(stanza)?.[1]);
          expect(bodies).to.deep.equal(bodiesTo(chat));
          const numbers = entries.filter(({ peer }) => peer === chat).map(({ sequence }) => sequence);
          expect(numbers).to.deep.equal(numbers.map((_, index) => index + 1));
        }
      }),
      {
        numRuns: 150,
        examples: [
          // A message read behind one that is looked up as a repeat, from a stream that is gone when its turn comes.
          [
            [
              { kind: 'send', chat: 0 },
              { kind: 'drop', lost: 1 },
              { kind: 'send', chat: 0 },
              { kind: 'drop', lost: 0 },
            ],
            false,
          ],
        ],
      },
    );
  });
});
