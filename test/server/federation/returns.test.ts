import { expect } from 'chai';
import { Jid } from '../../../stanzas/jid.ts';
import { endFederation } from '../../../server/shutdown.ts';
import { MemoryStore } from '../../../storage/backends/memory.ts';
import { WHOLE_STORE } from '../../../storage/audit/scope.ts';
import { StoreError, type Write } from '../../../storage/ordered-store.ts';
import type { Actor } from '../../support/core.ts';
import { certified, FederationStage, type FederationStageOptions, type Peer } from '../../support/federation-stage.ts';
import { MortalStore } from '../../support/mortal-store.ts';
import { TroubledStore } from '../../support/troubled-store.ts';

const SM = `<sm xmlns='urn:xmpp:sm:3'/>`;
const DAY_SECONDS = 86_400;

describe('an error for a message that was acknowledged', () => {
  let stage: FederationStage;
  const open = async (options: FederationStageOptions = {}): Promise<void> => {
    stage = await FederationStage.open({ security: certified('montague.example'), ...options });
  };
  const line = (n: number | string): string =>
    `<message to='romeo@montague.example' type='chat' id='m${n}'><body>line ${n}</body></message>`;
  const say = (n: number | string): Promise<void> => stage.juliet.send(line(n));
  const accepted = async (): Promise<Peer> => {
    const peer = await stage.nextDialed();
    await peer.accept();
    await stage.stage.settle();
    return peer;
  };
  /** Juliet comes, and is available. */
  const come = async (resource: string): Promise<Actor> => {
    const actor = await stage.stage.actor(`juliet@example.com/${resource}`);
    await actor.send('<presence/>');
    return actor;
  };
  /** Everything that waits for who acknowledges all. */
  const takeAll = async (actor: Actor): Promise<string[]> => {
    const heard = actor.take();
    for (let took = heard; took.length > 0; heard.push(...took)) {
      actor.session.flushed(actor.session.flushMark());
      stage.stage.clock.advance(1000);
      await stage.stage.settle();
      took = actor.take();
    }
    return heard;
  };
  const errorsIn = (stanzas: readonly string[]): string[] =>
    stanzas
      .filter((stanza) => stanza.includes(`type='error'`))
      .map(
        (stanza) =>
          `${/ to='([^']*)'/.exec(stanza)?.[1] ?? ''} ${/ id='([^']*)'/.exec(stanza)?.[1] ?? ''} ${/<error [^>]*><([\w-]+)/.exec(stanza)?.[1] ?? ''}`,
      );
  const turns = async (): Promise<void> => {
    for (let turn = 0; turn < 30; turn++) await new Promise((resolve) => setImmediate(resolve));
  };

  it('waits until its sender is there, in whichever session', async () => {
    await open();
    await say(1);
    const peer = await accepted();
    await stage.juliet.leave();
    peer.connection.close(new Error('ECONNRESET'));
    await stage.pass(2);
    expect([await stage.stored(), await stage.waiting()]).to.deep.equal([0, 1]);
    const chamber = await stage.stage.actor('juliet@example.com/chamber');
    await stage.pass(2);
    expect(errorsIn(chamber.take())).to.deep.equal([]); // it has not said that it is there
    await chamber.send('<presence/>');
    const heard = chamber.take();
    expect(errorsIn(heard)).to.deep.equal(['juliet@example.com/chamber m1 remote-server-timeout']);
    expect(heard.join('')).not.to.match(/<delay|<sequence|<stanza-id/);
    chamber.session.flushed(chamber.session.flushMark());
    await stage.stage.core.table.saveCursors();
    expect(await stage.waiting()).to.equal(0);
    expect(await stage.stage.storage.log.last('juliet@example.com')).to.include({ sequence: 1 }); // what she sent
  });

  it('goes to the session that sent the message while that is there, whatever its priority', async () => {
    await open();
    await stage.juliet.send('<presence><priority>-1</priority></presence>');
    const chamber = await come('chamber');
    await say(1);
    const peer = await accepted();
    chamber.take();
    peer.connection.close(new Error('ECONNRESET'));
    await stage.stage.settle();
    expect(errorsIn(stage.juliet.take())).to.deep.equal(['juliet@example.com/balcony m1 remote-server-timeout']);
    expect(errorsIn(chamber.take())).to.deep.equal([]);
  });

  it('waits over restarts, with its reason', async () => {
    const store = new MemoryStore();
    await open({ store, environment: { POSTHORN_S2S_PATIENCE_SECONDS: '20' } });
    stage.security = undefined;
    await say(1);
    await stage.juliet.leave();
    await stage.pass(60);
    expect(await stage.waiting()).to.equal(1);
    for (let run = 0; run < 2; run++) {
      await open({ store, isAlone: true });
      await stage.federation.restore();
      await stage.pass(3);
      expect(stage.dialed).to.deep.equal([]);
      expect(stage.missed).to.deep.equal([]);
    }
    const heard = (await come('nurse')).take();
    expect(errorsIn(heard)).to.deep.equal(['juliet@example.com/nurse m1 remote-server-timeout']);
    expect(heard.join('')).to.include('montague.example cannot be reached');
  });

  it('waits for a person who was away when the server came back', async () => {
    const store = new MemoryStore();
    await open({ store });
    await say(1);
    await accepted();
    // The process ends here.
    await open({ store, isAlone: true });
    await stage.federation.restore();
    await stage.pass(2);
    expect([await stage.stored(), await stage.waiting()]).to.deep.equal([0, 1]);
    expect(errorsIn((await come('chamber')).take())).to.deep.equal([
      'juliet@example.com/chamber m1 remote-server-timeout',
    ]);
  });

  it('waits with as many others as there are, more than are kept of messages, and in order with those', async () => {
    await open({ environment: { POSTHORN_S2S_PATIENCE_SECONDS: '0', POSTHORN_OFFLINE_MAX_MESSAGES: '100' } });
    stage.security = undefined;
    await stage.pass(1);
    for (let n = 0; n < 1200; n++) stage.stage.put(stage.juliet.session, line(n));
    stage.stage.core.table.end(stage.juliet.session);
    await stage.stage.receive(
      `<message from='nurse@example.com' to='juliet@example.com' id='hie'><body>hie</body></message>`,
    );
    await stage.pass(5);
    expect([await stage.stored(), await stage.waiting()]).to.deep.equal([0, 1201]);
    const chamber = await come('chamber');
    const heard = (await takeAll(chamber)).filter((stanza) => stanza.startsWith('<message'));
    const ids = heard.map((stanza) => / id='([^']*)'/.exec(stanza)?.[1]);
    expect(ids.filter((id) => id !== 'hie')).to.deep.equal(Array.from({ length: 1200 }, (_, n) => `m${n}`));
    expect(ids).to.include('hie');
    await stage.stage.core.table.saveCursors();
    expect(await stage.waiting()).to.equal(0);
  });

  it('is no reason to end the session of who is there, however much comes back at once', async () => {
    await open();
    for (let n = 0; n < 1200; n++) await say(n);
    const peer = await accepted();
    peer.connection.close(new Error('ECONNRESET'));
    await stage.pass(2);
    expect(stage.juliet.session.isOver).to.equal(false);
    const ids = (await takeAll(stage.juliet)).flatMap((stanza) => / id='(m[^']*)'/.exec(stanza)?.[1] ?? []);
    expect(ids).to.deep.equal(Array.from({ length: 1200 }, (_, n) => `m${n}`));
    await stage.stage.core.table.saveCursors();
    expect(await stage.waiting()).to.equal(0);
  });

  it('is no reason to end the session of a sender either that takes no other messages', async () => {
    await open();
    await stage.juliet.send('<presence><priority>-1</priority></presence>');
    stage.juliet.session.startAcknowledging();
    const count = 1200;
    for (let n = 0; n < count; n++) await say(n);
    const peer = await accepted();
    stage.juliet.session.acknowledge(stage.juliet.session.sent);
    peer.connection.close(new Error('ECONNRESET'));
    await stage.pass(2);
    expect(stage.juliet.session.isOver).to.equal(false);
    stage.juliet.session.acknowledge(stage.juliet.session.sent);
    await stage.juliet.send('<presence/>');
    const heard = stage.juliet.take();
    for (let took = heard; took.length > 0; heard.push(...took)) {
      stage.juliet.session.acknowledge(stage.juliet.session.sent);
      stage.stage.clock.advance(1000);
      await stage.stage.settle();
      took = stage.juliet.take();
    }
    expect(errorsIn(heard)).to.have.length(count);
  });

  it('is not made where the sender has let too many gather: what would come back is refused', async () => {
    const environment = {
      POSTHORN_S2S_PATIENCE_SECONDS: '0',
      POSTHORN_OFFLINE_MAX_MESSAGES: '5',
      POSTHORN_S2S_MAX_QUEUE_STANZAS: '10',
    };
    await open({ environment });
    stage.security = undefined;
    await stage.pass(1);
    for (let visit = 0; visit < 3; visit++) {
      const cell = await stage.stage.actor(`juliet@example.com/cell${visit}`);
      await stage.juliet.leave();
      for (let n = 0; n < 5; n++) stage.stage.put(cell.session, line(`${visit}${n}`));
      if (visit < 2) stage.stage.core.table.end(cell.session);
      await stage.pass(400); // the next attempt
      expect(errorsIn(cell.take())).to.deep.equal(
        visit < 2 ? [] : [0, 1, 2, 3, 4].map((n) => `juliet@example.com/cell2 m2${n} resource-constraint`),
      );
    }
    expect(await stage.waiting()).to.equal(10);
    const chamber = await come('chamber');
    expect(errorsIn(await takeAll(chamber))).to.have.length(10);
    await chamber.send(line('again'));
    await stage.pass(400);
    expect(errorsIn(chamber.take())).to.deep.equal(['juliet@example.com/chamber magain remote-server-timeout']);
  });

  it('takes no room of the messages of others, waiting, handed out or after a restart', async () => {
    const store = new MemoryStore();
    const environment = {
      POSTHORN_S2S_PATIENCE_SECONDS: '0',
      POSTHORN_OFFLINE_MAX_MESSAGES: '5',
      POSTHORN_S2S_MAX_QUEUE_STANZAS: '20',
    };
    let heard = 0;
    /** How many of this many messages from the Nurse are kept. */
    const kept = async (count: number): Promise<number> => {
      const before = await stage.waiting();
      for (let n = 0; n < count; n++, heard++)
        await stage.stage.receive(
          `<message from='nurse@example.com' to='juliet@example.com' id='hie${heard}'><body>hie</body></message>`,
        );
      return (await stage.waiting()) - before;
    };
    await open({ store, environment });
    stage.security = undefined;
    await stage.pass(1);
    for (let n = 0; n < 10; n++) stage.stage.put(stage.juliet.session, line(n));
    stage.stage.core.table.end(stage.juliet.session);
    await stage.pass(400);
    expect(await stage.waiting()).to.equal(10);
    expect(await kept(2)).to.equal(2);
    const chamber = await come('chamber');
    chamber.take();
    await chamber.leave(); // gives back all that it has not confirmed
    expect(await kept(1)).to.equal(1);
    await open({ store, environment, isAlone: true });
    expect(await kept(3)).to.equal(2);
    expect(errorsIn(await takeAll(await come('cell')))).to.have.length(10);
  });

  it('takes no room of the messages of others on its way to the disk', async () => {
    const store = new TroubledStore();
    await open({ store, environment: { POSTHORN_OFFLINE_MAX_MESSAGES: '5' } });
    for (let n = 0; n < 10; n++) await say(n);
    const peer = await accepted();
    await stage.juliet.leave();
    const hie = `<message from='nurse@example.com' to='juliet@example.com' id='hie'><body>hie</body></message>`;
    await stage.stage.receive(hie);
    const release = store.stall();
    peer.connection.close(new Error('ECONNRESET'));
    await turns();
    const received = stage.stage.receive(hie);
    await turns();
    release();
    await received;
    await stage.pass(2);
    expect(await stage.waiting()).to.equal(12);
  });

  for (const whose of ['a person who is there', 'a person who is away', 'a detached session'] as const) {
    for (let batches = 0; batches < 5; batches++) {
      it(`outlives a crash ${batches} batches after it was decided, for ${whose}`, async () => {
        const store = new MortalStore();
        await open({ store });
        const { core } = stage.stage;
        for (const n of [1, 2, 3]) await say(n);
        const peer = await accepted();
        await stage.stage.storage.commit.flush();
        if (whose === 'a person who is away') await stage.juliet.leave();
        if (whose === 'a detached session') {
          stage.juliet.session.startAcknowledging();
          core.resumable.offer(stage.juliet.session);
          core.resumable.detach(stage.juliet.session);
        }
        stage.juliet.take();
        await turns();
        store.batchesLeft = batches;
        peer.connection.close(new Error('ECONNRESET'));
        await turns();
        stage.juliet.session.flushed(stage.juliet.session.flushMark());
        void core.table.saveCursors();
        await turns();
        const before = errorsIn(stage.juliet.take());
        store.revive();
        await open({ store, isAlone: true });
        await stage.federation.restore();
        await stage.stage.settle();
        const chamber = await come('chamber');
        const after = errorsIn(await takeAll(chamber));
        const expected = [1, 2, 3].map((n) => `juliet@example.com/chamber m${n} remote-server-timeout`);
        if (whose !== 'a person who is there') expect([before, after]).to.deep.equal([[], expected]);
        else if (after.length > 0) expect(after).to.deep.equal(expected);
        else expect(before).to.deep.equal(expected.map((error) => error.replace('chamber', 'balcony')));
        expect(await stage.stored()).to.equal(0);
      });

      it(`outlives a crash ${batches} batches after patience was lost, for ${whose}, unless it goes out after all`, async () => {
        const store = new MortalStore();
        await open({ store, environment: { POSTHORN_S2S_PATIENCE_SECONDS: '20' } });
        stage.security = undefined;
        for (const n of [1, 2, 3]) await say(n);
        const { core } = stage.stage;
        if (whose === 'a person who is away') await stage.juliet.leave();
        if (whose === 'a detached session') {
          stage.juliet.session.startAcknowledging();
          core.resumable.offer(stage.juliet.session);
          core.resumable.detach(stage.juliet.session);
        }
        await stage.stage.storage.commit.flush();
        store.batchesLeft = batches;
        await stage.pass(30);
        await turns();
        stage.juliet.take();
        store.revive();
        await open({ store, isAlone: true });
        await stage.federation.restore();
        await turns();
        const arrived = stage.dialed.length === 0 ? [] : await stage.sent(await accepted());
        const returned = errorsIn(await takeAll(await come('chamber'))).map((error) => error.split(' ')[1] ?? '');
        expect([...arrived, ...returned].sort()).to.deep.equal(['m1', 'm2', 'm3']);
        expect(batches === 0 ? arrived : returned).to.have.length(3);
      });
    }
  }

  describe('whose client sends it once more', () => {
    const original = line(1).replace('</message>', `<origin-id xmlns='urn:xmpp:sid:0' id='o1'/></message>`);

    /** Juliet said it, with or without an origin-id, and the connection that it went out on broke. */
    const lose = async (store: MemoryStore, message = original): Promise<void> => {
      await open({ store });
      await stage.juliet.send(message);
      const peer = await accepted();
      expect(await stage.sent(peer)).to.deep.equal(['m1']);
      peer.connection.close(new Error('ECONNRESET'));
      await stage.stage.settle();
    };
    /** What another server gets of what is said in a new session. */
    const sayAgain = async (actor: Actor, message = original): Promise<string[]> => {
      await actor.send(message);
      const peer = await stage.nextDialed().catch(() => undefined);
      await peer?.accept();
      return peer === undefined ? [] : await stage.sent(peer);
    };

    it('goes out again once a client has the error, also after a restart, and is known from then on', async () => {
      for (const isRestarted of [false, true]) {
        const store = new MemoryStore();
        await lose(store);
        expect(stage.errors()).to.deep.equal(['m1 remote-server-timeout']);
        stage.juliet.session.flushed(stage.juliet.session.flushMark());
        if (isRestarted) {
          await stage.stage.core.table.saveCursors();
          await open({ store });
        }
        expect(await sayAgain(stage.juliet)).to.deep.equal(['m1']);
        expect(await sayAgain(stage.juliet)).to.deep.equal([]);
        expect(await stage.stored()).to.equal(1);
      }
    });

    it('is known as long as no client has it: that one wants for an acknowledgement', async () => {
      await lose(new MemoryStore());
      await stage.juliet.leave();
      const chamber = await stage.stage.actor('juliet@example.com/chamber');
      expect(await sayAgain(chamber)).to.deep.equal([]);
      await chamber.send('<presence/>');
      expect(errorsIn(chamber.take())).to.have.length(1);
      expect(await sayAgain(chamber)).to.deep.equal([]);
      chamber.session.flushed(chamber.session.flushMark());
      expect(await sayAgain(chamber)).to.deep.equal(['m1']);
    });

    it('goes out once it came back, also where it was sent again before a client had the error', async () => {
      await lose(new MemoryStore(), line(1));
      await stage.juliet.leave();
      stage.stage.clock.advance(1000);
      const known = await stage.stage.actor('juliet@example.com/balcony');
      expect(await sayAgain(known, line(1))).to.deep.equal([]);
      await known.send('<presence/>');
      expect(errorsIn(known.take())).to.have.length(1);
      known.session.flushed(known.session.flushMark());
      await known.leave();
      stage.stage.clock.advance(1000);
      const balcony = await stage.stage.actor('juliet@example.com/balcony');
      expect(await sayAgain(balcony, line(1))).to.deep.equal(['m1']);
    });

    it('goes out again under the id of its stanza too', async () => {
      const store = new MemoryStore();
      for (const hasError of [false, true]) {
        await lose(store, line(1));
        const heard = stage.juliet.take();
        expect(heard).to.have.length(1);
        if (hasError) stage.juliet.session.flushed(stage.juliet.session.flushMark());
        await stage.juliet.leave();
        stage.stage.clock.advance(1000);
        const balcony = await stage.stage.actor('juliet@example.com/balcony');
        expect(await sayAgain(balcony, line(1))).to.deep.equal(hasError ? ['m1'] : []);
      }
    });
  });

  it('is tried again where the store takes nothing, and until then nothing is lost', async () => {
    const store = new ObstinateStore();
    await open({ store, environment: { POSTHORN_S2S_PATIENCE_SECONDS: '20' } });
    stage.security = undefined;
    await say(1);
    store.isObstinate = true;
    await stage.pass(30);
    expect(stage.errors()).to.deep.equal([]);
    await stage.pass(20);
    store.isObstinate = false;
    expect([stage.errors(), await stage.stored()]).to.deep.equal([[], 1]);
    await stage.pass(10);
    expect([stage.errors(), await stage.stored()]).to.deep.equal([['m1 remote-server-timeout'], 0]);
  });

  it('stays what it was in the outbox where the store takes nothing for long', async () => {
    const store = new ObstinateStore();
    await open({ store });
    await say(1);
    const peer = await accepted();
    store.isObstinate = true;
    peer.connection.close(new Error('ECONNRESET'));
    await stage.stage.settle();
    for (let seconds = 0; seconds < 400; seconds += 10) await stage.pass(10);
    expect(stage.federation.heldBytes).to.equal(0);
    store.isObstinate = false;
    await stage.pass(60);
    expect([stage.errors(), await stage.stored()]).to.deep.equal([[], 1]);
    await open({ store, isAlone: true });
    await stage.federation.restore();
    expect(errorsIn((await come('chamber')).take())).to.deep.equal([
      'juliet@example.com/chamber m1 remote-server-timeout',
    ]);
  });

  it('waits for an account that is disabled; with one that is removed it goes', async () => {
    for (const isRemoved of [false, true]) {
      await open();
      await say(1);
      const peer = await accepted();
      const { accounts, log } = stage.stage.storage;
      await accounts.update('juliet@example.com', (record) => ({ ...record, disabled: true }));
      const { table } = stage.stage.core;
      await table.retire('juliet@example.com', (session) => table.end(session));
      if (isRemoved) await accounts.remove('juliet@example.com');
      peer.connection.close(new Error('ECONNRESET'));
      await stage.pass(2);
      expect(await stage.stored()).to.equal(0);
      if (isRemoved) {
        expect(await log.page('juliet@example.com', { limit: 10 })).to.deep.equal([]);
        continue;
      }
      await accounts.update('juliet@example.com', (record) => ({ ...record, disabled: false }));
      stage.stage.clock.advance(1000);
      expect(errorsIn((await come('chamber')).take())).to.deep.equal([
        'juliet@example.com/chamber m1 remote-server-timeout',
      ]);
    }
  });

  it('is sound to an audit, in no archive, and not cleared for who reads the archive (XEP-0386)', async () => {
    await open();
    await say(1);
    const peer = await accepted();
    await stage.juliet.leave();
    peer.connection.close(new Error('ECONNRESET'));
    await stage.pass(1);
    const { archive, audits, retention, log } = stage.stage.storage;
    const owner = 'juliet@example.com';
    const { entries } = await archive.page(owner, { limit: 10, maxBytes: Infinity });
    expect(entries.map(({ flags }) => flags.sent)).to.deep.equal([true]);
    expect(await retention.usage(owner)).to.include({ count: 1 });
    let audit = audits.begin({ scope: WHOLE_STORE, nowMs: 0 });
    for (; audit.state === 'running'; audit = audits.last ?? audit) await turns();
    expect([audit.state, ...audit.described]).to.deep.equal(['done']);
    const last = await log.last(owner);
    const life = await audits.message(owner, last?.position ?? 0);
    expect(life).to.include({ from: 'romeo@montague.example', number: undefined, id: 'm1' });
    expect(life?.sides).to.have.length(1);
    expect(life?.sides[0]).to.include({ isArchived: false, delivery: 'waits, or is not confirmed' });
    const account = stage.stage.core.table.account(Jid.parse(owner));
    await stage.stage.core.acceptance.clearArchived(account, last?.position ?? 0);
    expect(errorsIn((await come('chamber')).take())).to.have.length(1);
  });
});

/** A store that refuses to write while it is told to. */
class ObstinateStore extends MemoryStore {
  isObstinate = false;

  override async write(batch: readonly Write[]): Promise<void> {
    if (this.isObstinate) throw new StoreError('failed', 'the disk is full');
    await super.write(batch);
  }
}

describe('an orderly end', () => {
  /** A message has been sent to a server with these features. */
  const sent = async (features = ''): Promise<readonly [FederationStage, Peer]> => {
    const stage = await FederationStage.open({ security: certified('montague.example') });
    await stage.juliet.send(`<message to='romeo@montague.example' type='chat' id='m1'><body>line 1</body></message>`);
    const peer = await stage.nextDialed();
    await peer.accept(features);
    if (features === SM) {
      await peer.until(/<enable [^>]*>/);
      peer.send(`<enabled xmlns='urn:xmpp:sm:3'/>`);
    }
    await stage.stage.settle();
    return [stage, peer];
  };
  const turns = async (stage: FederationStage, steps: number): Promise<void> => {
    for (let step = 0; step < steps; step++) {
      stage.clock.advance(20);
      await new Promise((resolve) => setImmediate(resolve));
    }
  };

  it('asks by XEP-0198 what has arrived before it ends a stream, and goes on as soon as it knows', async () => {
    const [stage, peer] = await sent(SM);
    const over = endFederation(stage.federation, stage.clock);
    await peer.until(/<r xmlns='urn:xmpp:sm:3'\/>/);
    await turns(stage, 3);
    expect(peer.connection.sent).not.to.include('system-shutdown');
    peer.send(`<a xmlns='urn:xmpp:sm:3' h='1'/>`);
    await turns(stage, 3);
    await peer.until(/<system-shutdown /);
    peer.send('</stream:stream>');
    await turns(stage, 3);
    await over;
    expect(await stage.stored()).to.equal(0);
  });

  it('waits for a second, and keeps what is still not known', async () => {
    const [stage, peer] = await sent(SM);
    const over = endFederation(stage.federation, stage.clock);
    await turns(stage, 49);
    expect(peer.connection.sent).not.to.include('system-shutdown');
    await turns(stage, 60);
    await over;
    expect(peer.connection.sent).to.include('system-shutdown');
    expect(await stage.stored()).to.equal(1);
  });

  it('believes the end of the stream of a server that answers no ping', async () => {
    const [stage, peer] = await sent();
    const over = endFederation(stage.federation, stage.clock);
    await peer.until(/<ping /);
    await turns(stage, 52);
    await peer.until(/<system-shutdown /);
    peer.send('</stream:stream>');
    await turns(stage, 3);
    await over;
    expect(await stage.stored()).to.equal(0);
  });
});

describe('what an earlier run left', () => {
  const pair = { local: 'capulet.example', remote: 'montague.example' };
  const document = `<message xmlns='jabber:client' from='juliet@capulet.example/balcony' to='romeo@montague.example' type='chat' id='m1'><body>hi</body></message>`;
  const left = async (environment: Record<string, string>, days: number): Promise<FederationStage> => {
    const stage = await FederationStage.open({ environment, security: certified('montague.example') });
    const { accounts, commit, outboxes } = stage.stage.storage;
    await accounts.create('juliet@capulet.example', { createdAt: 0, disabled: false, credentials: {} });
    stage.clock.advance(500 * 365 * DAY_SECONDS * 1000); // the store knows no time before 1970
    const at = stage.clock.now() - days * DAY_SECONDS * 1000;
    await commit.write(outboxes.putWrites(pair, { position: 1, at, isHandedOut: false, document }));
    await stage.federation.restore();
    await stage.pass(3);
    return stage;
  };

  it('stays in the store, and is not sent, where its domain is no longer served', async () => {
    const stage = await left({}, 29);
    expect(stage.dialed).to.deep.equal([]);
    expect(await stage.stored()).to.equal(1);
    const later = await left({}, 31);
    expect(await later.stored()).to.equal(0);
  });

  it('is removed where it is damaged, or is not of its domains', async () => {
    const stage = await FederationStage.open({ security: certified('montague.example') });
    const { commit, outboxes } = stage.stage.storage;
    const ours = { local: 'example.com', remote: 'montague.example' };
    const answer = `<message xmlns='jabber:client' from='romeo@montague.example' to='juliet@example.com/balcony' type='error' id='m1'/>`;
    const documents = [document, answer, answer.replace(/ from='[^']*'/, ''), '<message', '<stream/>', ''];
    for (const [index, broken] of documents.entries()) {
      for (const isHandedOut of [false, true]) {
        const position = index * 2 + (isHandedOut ? 2 : 1);
        await commit.write(outboxes.putWrites(ours, { position, at: 0, isHandedOut, document: broken }));
      }
    }
    await stage.federation.restore();
    await stage.pass(1);
    expect(await stage.stored()).to.equal(0);
    expect(stage.dialed).to.deep.equal([]);
    expect(stage.juliet.take()).to.deep.equal([]);
  });

  it('comes back where the other domain has moved here', async () => {
    const stage = await left({ POSTHORN_DOMAINS: 'example.com,capulet.example,montague.example' }, 1);
    expect(stage.dialed).to.deep.equal([]);
    expect(await stage.stored()).to.equal(0);
    const juliet = await stage.stage.actor('juliet@capulet.example/balcony');
    await juliet.send('<presence/>');
    expect(juliet.take().join('')).to.match(/type='error'.*montague.example has moved to this server/);
  });
});
