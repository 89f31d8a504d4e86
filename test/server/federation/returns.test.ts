import { expect } from 'chai';
import { endFederation } from '../../../server/shutdown.ts';
import { MemoryStore } from '../../../storage/backends/memory.ts';
import { certified, FederationStage, type Peer } from '../../support/federation-stage.ts';

const SM = `<sm xmlns='urn:xmpp:sm:3'/>`;
const DAY_SECONDS = 86_400;

describe('an error for a message that was acknowledged', () => {
  let stage: FederationStage;
  const open = async (store = new MemoryStore(), environment: Record<string, string> = {}): Promise<void> => {
    stage = await FederationStage.open({ environment, security: certified('montague.example'), store });
  };
  const say = (n: number): Promise<void> =>
    stage.juliet.send(`<message to='romeo@montague.example' type='chat' id='m${n}'><body>line ${n}</body></message>`);
  const accepted = async (): Promise<Peer> => {
    const peer = await stage.nextDialed();
    await peer.accept();
    await stage.stage.settle();
    return peer;
  };
  const errorsIn = (stanzas: readonly string[]): string[] =>
    stanzas
      .filter((stanza) => stanza.includes(`type='error'`))
      .map(
        (stanza) =>
          `${/ to='([^']*)'/.exec(stanza)?.[1] ?? ''} ${/ id='([^']*)'/.exec(stanza)?.[1] ?? ''} ${/<error [^>]*><([\w-]+)/.exec(stanza)?.[1] ?? ''}`,
      );

  it('waits until its sender is there, in whichever session', async () => {
    await open();
    await say(1);
    const peer = await accepted();
    await stage.juliet.leave();
    peer.connection.close(new Error('ECONNRESET'));
    await stage.pass(2);
    expect(await stage.stored()).to.equal(1);
    const chamber = await stage.stage.actor('juliet@example.com/chamber');
    await stage.pass(2);
    expect(errorsIn(chamber.take())).to.deep.equal([]); // it has not said that it is there
    await chamber.enter();
    await stage.pass(1);
    expect(errorsIn(chamber.take())).to.deep.equal(['juliet@example.com/chamber m1 remote-server-timeout']);
    expect(await stage.stored()).to.equal(0);
    await stage.pass(2);
    expect(errorsIn(chamber.take())).to.deep.equal([]);
  });

  it('waits over restarts, with its reason', async () => {
    const store = new MemoryStore();
    await open(store, { POSTHORN_S2S_PATIENCE_SECONDS: '20' });
    stage.security = undefined;
    await stage.juliet.send(
      `<message to='romeo@montague.example' type='chat' id='m1'><body>Romeo, doff thy name</body></message>`,
    );
    await stage.juliet.leave();
    await stage.pass(60);
    expect(await stage.stored()).to.equal(1);
    for (let run = 0; run < 2; run++) {
      await open(store);
      await stage.juliet.leave();
      await stage.federation.restore();
      await stage.pass(3);
      expect(stage.dialed).to.deep.equal([]);
      expect(stage.missed).to.deep.equal([]);
    }
    const nurse = await stage.stage.actor('juliet@example.com/nurse');
    await nurse.send('<presence/>');
    nurse.take();
    await stage.pass(1);
    const heard = nurse.take();
    expect(errorsIn(heard)).to.deep.equal(['juliet@example.com/nurse m1 remote-server-timeout']);
    expect(heard.join('')).to.include('montague.example cannot be reached');
    expect(await stage.stored()).to.equal(0);
  });

  it('waits for a person who was away when the server came back', async () => {
    const store = new MemoryStore();
    await open(store);
    await say(1);
    await accepted();
    // The process ends here.
    await open(store);
    await stage.juliet.leave();
    await stage.federation.restore();
    await stage.pass(2);
    expect(await stage.stored()).to.equal(1);
    const chamber = await stage.stage.actor('juliet@example.com/chamber');
    await chamber.enter();
    await stage.pass(1);
    expect(errorsIn(chamber.take())).to.deep.equal(['juliet@example.com/chamber m1 remote-server-timeout']);
  });

  it('waits for a month at most, and 500 of them for one person', async () => {
    await open(new MemoryStore(), { POSTHORN_S2S_PATIENCE_SECONDS: '0' });
    stage.security = undefined;
    await stage.pass(1);
    for (let n = 0; n < 510; n++) {
      stage.stage.put(
        stage.juliet.session,
        `<message to='romeo@montague.example' type='chat' id='m${n}'><body>line ${n}</body></message>`,
      );
    }
    stage.stage.core.table.end(stage.juliet.session);
    await stage.stage.settle();
    await stage.pass(5);
    expect(await stage.stored()).to.equal(500);
    stage.clock.advance(31 * DAY_SECONDS * 1000);
    await stage.pass(1);
    expect(await stage.stored()).to.equal(0);
  });
});

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
    const { commit, outboxes } = stage.stage.storage;
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

  it('comes back where the other domain has moved here', async () => {
    const stage = await left({ POSTHORN_DOMAINS: 'example.com,capulet.example,montague.example' }, 1);
    expect(stage.dialed).to.deep.equal([]);
    expect(await stage.stored()).to.equal(1); // an error for Juliet, who is away
  });
});
