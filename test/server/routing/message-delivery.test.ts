import { expect } from 'chai';
import { readStoredStanza } from '../../../server/routing/stored-stanza.ts';
import { StanzaError } from '../../../stanzas/stanza-error.ts';
import type { Stanza } from '../../../stanzas/stanza.ts';
import { MemoryStore } from '../../../storage/backends/memory.ts';
import type { Write } from '../../../storage/ordered-store.ts';
import { Stage, type Actor, type StageOptions } from '../../support/core.ts';
import { TroubledStore } from '../../support/troubled-store.ts';

const JULIET = 'juliet@example.com';
const ROMEO = 'romeo@example.com';
const TYPING = `<message to='${JULIET}' id='typing' type='chat'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>`;

function chat(id: string): string {
  return `<message to='${JULIET}' id='${id}' type='chat'><body>x</body></message>`;
}

const TIMEOUT = new StanzaError('remote-server-timeout');
const UNHEARD = { writes: [], listener: { committed: () => undefined, refused: () => undefined } };

/** What somebody sent to another server, and what was acknowledged. */
function sent(from: string, id: string, content = '<body>x</body>'): Stanza {
  const to = 'nurse@example.org';
  return readStoredStanza(
    `<message xmlns='jabber:client' from='${from}' to='${to}' id='${id}' type='chat'>${content}</message>`,
  );
}

/** The ids of what came. */
function ids(stanzas: readonly string[]): string[] {
  return stanzas.map((stanza) => /^<\w+[^>]* id='([^']*)'/.exec(stanza)?.[1] ?? '').filter((id) => id !== '');
}

describe('message delivery', () => {
  let stage: Stage;
  let romeo: Actor;
  let juliet: Actor;

  /** Juliet, who may hold ten stanzas, has become available with eight messages waiting, and acknowledges nothing. */
  async function flushing(options: StageOptions = {}): Promise<void> {
    stage = await Stage.open([JULIET, ROMEO], options);
    romeo = await stage.actor(`${ROMEO}/orchard`);
    for (let n = 1; n <= 8; n++) await romeo.send(chat(`old${n}`));
    juliet = await stage.actor(`${JULIET}/balcony`, { maxQueueStanzas: 10 });
    juliet.session.startAcknowledging();
    await juliet.send('<presence/>');
    expect(juliet.session.account.isFlushing).to.equal(true);
  }

  /** Juliet acknowledges everything, as often as the flush goes on. */
  async function read(): Promise<string[]> {
    const received: string[] = [];
    for (let round = 0; round < 5; round++) {
      juliet.session.acknowledge(juliet.session.sent);
      stage.clock.advance(100);
      await stage.settle();
      received.push(...juliet.take());
    }
    return ids(received);
  }

  const OLD = Array.from({ length: 8 }, (_, index) => `old${index + 1}`);

  it('delivers a message that comes behind a chat state during a flush once, in its place', async () => {
    await flushing();
    await romeo.send(TYPING);
    await romeo.send(chat('live'));
    const received = await read();
    expect(received.filter((id) => id !== 'typing')).to.deep.equal([...OLD, 'live']);
    expect(received).to.include('typing');
    expect(juliet.session.account.pending.waitingCount).to.equal(0);
    await romeo.send(chat('next'));
    expect(ids(juliet.take())).to.deep.equal(['next']);
  });

  it('delivers a message once to who becomes available between its write and the answer of the store', async () => {
    // A write can be seen a while before its callback runs.
    class LateStore extends MemoryStore {
      late: Promise<void> | undefined;
      override async write(batch: readonly Write[]): Promise<void> {
        await super.write(batch);
        await this.late;
      }
    }
    const store = new LateStore();
    stage = await Stage.open([JULIET, ROMEO], { store });
    romeo = await stage.actor(`${ROMEO}/orchard`);
    await romeo.send(chat('old'));
    juliet = await stage.actor(`${JULIET}/balcony`);
    let callBack = (): void => undefined;
    store.late = new Promise((resolve) => (callBack = resolve));
    stage.put(romeo.session, chat('live'));
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    stage.put(juliet.session, '<presence/>');
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    callBack();
    store.late = undefined;
    await stage.settle();
    expect(ids(juliet.take())).to.deep.equal(['old', 'live']);
    expect(juliet.session.account.pending.waitingCount).to.equal(0);
  });

  it('RFC 6120 10.1: lets no presence overtake a message of the same sender that waits behind a flush', async () => {
    await flushing();
    await romeo.send(chat('live'));
    await romeo.send(`<presence id='presence' to='${JULIET}/balcony'/>`);
    expect(await read()).to.deep.equal([...OLD, 'live', 'presence']);
  });

  it('holds up nobody else by a flush to a client that reads slowly', async () => {
    await flushing();
    await stage.receive(`<presence id='presence' from='nurse@example.org/house' to='${JULIET}/balcony'/>`);
    expect(ids(juliet.take())).to.include('presence');
    const before = romeo.session.inbound.handled;
    await romeo.send(TYPING);
    expect(romeo.session.inbound.handled).to.equal(before + 1);
  });

  it('gives up a client that takes nothing for long, and serves the others of the account', async () => {
    await flushing();
    const phone = await stage.actor(`${JULIET}/phone`);
    await phone.send('<presence/>');
    for (let second = 0; second < 120; second++) {
      stage.clock.advance(1000);
      await stage.settle();
    }
    expect(juliet.session.isOver).to.equal(true);
    expect(ids(phone.take())).to.include.members(OLD);
    expect(phone.session.account.isFlushing).to.equal(false);
  });

  it('holds no more than a bounded number of stanzas behind a flush, whoever sends them', async () => {
    await flushing();
    await romeo.send(chat('live'));
    for (let n = 0; n < 2000; n++) stage.put(romeo.session, TYPING);
    await stage.settle();
    expect(juliet.session.account.deliveriesAhead).to.be.within(1, 500);
    stage.put(
      romeo.session,
      `<message to='${JULIET}' id='secret' type='chat'><body>x</body><no-store xmlns='urn:xmpp:hints'/></message>`,
    );
    await stage.settle();
    const [error] = romeo.take();
    expect(error).to.include(`id='secret'`).and.include('<resource-constraint ').and.include(`type='wait'`);
  });

  it('XEP-0160 2: keeps to the limit of the queue also while it is flushed', async () => {
    await flushing({ environment: { POSTHORN_OFFLINE_MAX_MESSAGES: '10' } });
    const before = juliet.session.account.pending.waitingCount;
    for (let n = 0; n < 50; n++) stage.put(romeo.session, chat(`m${n}`));
    await stage.settle();
    expect(juliet.session.account.pending.waitingCount).to.equal(10);
    const refused = romeo.take().filter((stanza) => stanza.includes('<service-unavailable '));
    expect(refused).to.have.length(50 - (10 - before));
  });

  it('without history, records what cannot be delivered at once: nothing accepted depends on a session', async () => {
    await flushing({ environment: { POSTHORN_MESSAGES_HISTORY: 'off' } });
    await romeo.send(chat('live'));
    await juliet.leave();
    stage.clock.advance(100);
    await stage.settle();
    const later = await stage.actor(`${JULIET}/phone`);
    await later.send('<presence/>');
    expect(ids(later.take())).to.include('live');
    expect(romeo.take()).to.deep.equal([]);
  });

  it('tells a session that takes nothing of what waits at once what has come back to it, and keeps nothing of that', async () => {
    stage = await Stage.open([JULIET, ROMEO]);
    romeo = await stage.actor(`${ROMEO}/orchard`);
    await romeo.send(chat('old'));
    juliet = await stage.actor(`${JULIET}/balcony`);
    const { log, commit } = stage.storage;
    for (const presence of ['', '<presence><priority>-1</priority></presence>']) {
      if (presence !== '') await juliet.send(presence);
      juliet.take();
      stage.core.router.giveBack(sent(`${JULIET}/balcony`, 'lost'), TIMEOUT, UNHEARD);
      stage.core.router.giveBack(sent(`${JULIET}/chamber`, 'waits'), TIMEOUT, UNHEARD);
      await stage.settle();
      expect(ids(juliet.take())).to.deep.equal(['lost']);
      juliet.session.flushed(juliet.session.flushMark());
      await stage.core.table.saveCursors();
      await commit.flush();
    }
    const left = await log.page(JULIET, { limit: 10 });
    expect(ids(left.map(({ stanza }) => stanza))).to.deep.equal(['old', 'waits', 'waits']);
    await juliet.send('<presence/>');
    expect(ids(juliet.take())).to.deep.equal(['old', 'waits', 'waits']);
  });

  it('gives another session what the one that was told at once did not confirm', async () => {
    stage = await Stage.open([JULIET, ROMEO]);
    romeo = await stage.actor(`${ROMEO}/orchard`);
    await romeo.send(chat('old'));
    juliet = await stage.actor(`${JULIET}/balcony`);
    stage.core.router.giveBack(sent(`${JULIET}/balcony`, 'lost'), TIMEOUT, UNHEARD);
    await stage.settle();
    expect(ids(juliet.take())).to.deep.equal(['lost']);
    await juliet.leave();
    const phone = await stage.actor(`${JULIET}/phone`);
    await phone.send('<presence/>');
    expect(ids(phone.take())).to.deep.equal(['old', 'lost']);
  });

  it('tells the other devices of what came back to one of them (XEP-0280 6.1)', async () => {
    stage = await Stage.open([JULIET, ROMEO]);
    [juliet, romeo] = [await stage.actor(`${JULIET}/balcony`), await stage.actor(`${JULIET}/phone`)];
    for (const device of [juliet, romeo]) {
      await device.send(`<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq>`);
      await device.send('<presence/>');
    }
    await juliet.send(`<message to='nurse@example.org' type='chat' id='lost'><body>x</body></message>`);
    romeo.take();
    juliet.take();
    stage.core.router.giveBack(sent(`${JULIET}/balcony`, 'lost'), TIMEOUT, UNHEARD);
    await stage.settle();
    expect(juliet.take().join('')).to.match(/^<message [^>]*type='error'/);
    expect(romeo.take().join('')).to.match(/<received .*<message [^>]*type='error'/);
  });

  it('XEP-0160 3: keeps no error of others, and no error for what nobody misses', async () => {
    stage = await Stage.open([JULIET, ROMEO]);
    await stage.receive(`<message from='nurse@example.org' to='${JULIET}/balcony' type='error' id='other'/>`);
    const typing = sent(`${JULIET}/balcony`, 'typing', `<composing xmlns='http://jabber.org/protocol/chatstates'/>`);
    stage.core.router.giveBack(typing, TIMEOUT, UNHEARD);
    await stage.settle();
    expect(await stage.storage.log.page(JULIET, { limit: 10 })).to.deep.equal([]);
  });

  describe('a session that ends while something waits for the disk behind a message', () => {
    let store: TroubledStore;
    let release: () => void;

    beforeEach(async () => {
      store = new TroubledStore();
      stage = await Stage.open([JULIET, ROMEO], { store });
      [romeo, juliet] = [await stage.actor(`${ROMEO}/orchard`), await stage.actor(`${JULIET}/balcony`)];
      await juliet.send(`<presence/>`);
      await juliet.send(`<presence to='${ROMEO}/orchard'/>`);
      await romeo.send(chat('before')); // the chat's counter is in memory from here on
      romeo.take();
      release = store.stall();
      stage.put(romeo.session, chat('m'));
    });

    async function end(): Promise<string[]> {
      await juliet.leave().catch(() => undefined);
      release();
      await stage.settle();
      return romeo.take();
    }

    it('RFC 6120 8.2.3: a request to it is answered', async () => {
      stage.put(romeo.session, `<iq type='get' id='q' to='${JULIET}/balcony'><query xmlns='jabber:iq:version'/></iq>`);
      setImmediate(() => release());
      stage.core.table.end(juliet.session);
      await stage.settle();
      const error = romeo.take().find((stanza) => stanza.includes(`id='q'`));
      expect(error).to.include(`type='error'`).and.include('<service-unavailable ');
      await end();
    });

    it('a message with a body that must not be stored comes back', async () => {
      stage.put(
        romeo.session,
        `<message type='chat' id='secret' to='${JULIET}'><body>x</body><no-store xmlns='urn:xmpp:hints'/></message>`,
      );
      setImmediate(() => release());
      stage.core.table.end(juliet.session);
      await stage.settle();
      const error = romeo.take().find((stanza) => stanza.includes(`id='secret'`));
      expect(error).to.include(`type='error'`).and.include('<service-unavailable ');
      await end();
    });
  });
});
