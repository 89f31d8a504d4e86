import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { expect } from 'chai';
import { ClientProcess } from '../interop/client-process.ts';
import { SLIXMPP } from '../interop/client-kinds.ts';
import { Verona, type ServerChoice, type ServerInPlay } from '../support/federated-servers.ts';
import { startEjabberd } from './ejabberd.ts';
import type { Peer, StartPeer } from './peer.ts';
import { startProsody } from './prosody.ts';

const PASSWORD = 'wherefore-art-thou';
const CAPULET = 'capulet.example';
const MONTAGUE = 'montague.example';
const JULIET = `juliet@${CAPULET}`;
const ROMEO = `romeo@${MONTAGUE}`;
const COUNT = 1000;
const PATIENCE_MS = 60_000;
const POLL_MS = 50;

/** How the two servers meet. */
interface Meeting {
  readonly dialback?: boolean;
  /** The other server's certificate is signed by nobody whom ours believes. */
  readonly isUntrusted?: boolean;
  readonly directTls?: boolean;
  readonly ours?: ServerChoice;
}

for (const [name, address, startPeer] of [
  ['Prosody', '127.0.0.2', startProsody],
  ['ejabberd', '127.0.0.3', startEjabberd],
] as const) {
  describe(`federation with ${name}`, function () {
    this.timeout(120_000);
    let verona: Verona;
    let directory: string;
    let capulet: ServerInPlay;
    let peer: Peer;
    let clients: ClientProcess[];

    const meet = async ({
      dialback = false,
      isUntrusted = false,
      directTls = false,
      ours = {},
    }: Meeting): Promise<void> => {
      clients = [];
      verona = await Verona.found();
      directory = await mkdtemp(join(tmpdir(), 'posthorn-peer-'));
      capulet = await verona.start(CAPULET, ['juliet', 'nurse'], { ...ours, directTls });
      peer = await begin(startPeer, { dialback, isUntrusted });
      verona.announce(MONTAGUE, directTls ? peer.directTlsPort : peer.serverPort, directTls, address);
    };
    const begin = async (start: StartPeer, { dialback = false, isUntrusted = false }: Meeting): Promise<Peer> => {
      const { certificateFile, keyFile } = await verona.certificate(MONTAGUE, isUntrusted);
      const { caFile } = await verona.certificate('authority.example', false);
      return start({
        directory,
        address,
        domain: MONTAGUE,
        users: ['romeo', 'benvolio'],
        password: PASSWORD,
        certificateFile,
        keyFile,
        caFile,
        dnsPort: verona.dns.port,
        dialback,
      });
    };
    const part = async (): Promise<void> => {
      await Promise.all(clients.map((client) => client.end()));
      await peer.stop();
      await verona.fall();
      await rm(directory, { recursive: true, force: true });
    };

    const login = async (jid: string, host: string, port: number, isUntrusted = false): Promise<ClientProcess> => {
      const { caFile } = await verona.certificate(isUntrusted ? MONTAGUE : 'authority.example', isUntrusted);
      const client = new ClientProcess(SLIXMPP, caFile);
      clients.push(client);
      const transport = 'starttls' as const;
      const place = { host, port, transport, url: '', caFile, resumes: false };
      await client.perform({ command: 'login', jid, password: PASSWORD, resource: 'here', ...place });
      await client.next('online');
      await client.perform({ command: 'roster' });
      await client.perform({ command: 'presence' });
      return client;
    };
    const enterJuliet = (): Promise<ClientProcess> => login(JULIET, '127.0.0.1', capulet.clientPort);
    const enterRomeo = (isUntrusted = false): Promise<ClientProcess> =>
      login(ROMEO, address, peer.clientPort, isUntrusted);
    const chat = (client: ClientProcess, to: string, ...bodies: string[]): Promise<unknown> =>
      client.perform({ command: 'chat', to, bodies });
    const bodiesOf = async (client: ClientProcess, count: number): Promise<string[]> => {
      const bodies: string[] = [];
      while (bodies.length < count) bodies.push((await client.next('message', ({ type }) => type === 'chat')).body);
      return bodies;
    };
    /** Everything that Juliet's server has accepted for the other one is acknowledged by it, or has come back. */
    const nothingIsOwed = async (): Promise<void> => {
      const { outboxes, commit } = capulet.running.operations.storage;
      for (const deadline = Date.now() + PATIENCE_MS; Date.now() < deadline;) {
        const { done } = await outboxes.everything(() => undefined).next();
        if (done === true) break;
        await setTimeout(POLL_MS);
      }
      await commit.flush();
    };
    const lines = (who: string): string[] => Array.from({ length: COUNT }, (_, n) => `${who} ${n}`);

    describe('once both have proved their domains by certificates', () => {
      let juliet: ClientProcess;
      let romeo: ClientProcess;
      beforeEach(async () => {
        await meet({});
        [juliet, romeo] = await Promise.all([enterJuliet(), enterRomeo()]);
      });
      afterEach(part);

      it('lets people subscribe both ways and see each other', async () => {
        await juliet.perform({ command: 'presence', type: 'subscribe', to: ROMEO });
        await romeo.next('presence', ({ type, sender }) => type === 'subscribe' && sender === JULIET);
        await romeo.perform({ command: 'presence', type: 'subscribed', to: JULIET });
        await juliet.next('presence', ({ type, sender }) => type === 'available' && sender === `${ROMEO}/here`);
        await romeo.perform({ command: 'presence', type: 'subscribe', to: JULIET });
        await juliet.next('presence', ({ type, sender }) => type === 'subscribe' && sender === ROMEO);
        await juliet.perform({ command: 'presence', type: 'subscribed', to: ROMEO });
        await romeo.next('presence', ({ type, sender }) => type === 'available' && sender === `${JULIET}/here`);
        await juliet.perform({ command: 'presence', status: 'on the balcony' });
        await romeo.next('presence', ({ status }) => status === 'on the balcony');
        await romeo.perform({ command: 'presence', status: 'in the orchard' });
        await juliet.next('presence', ({ status }) => status === 'in the orchard');
        await romeo.perform({ command: 'logout' });
        await juliet.next('presence', ({ type, sender }) => type === 'unavailable' && sender === `${ROMEO}/here`);
      });

      it('takes what both say at once, when there is no stream yet', async () => {
        const [some, others] = [lines('juliet').slice(0, 50), lines('romeo').slice(0, 50)];
        const [toRomeo, toJuliet] = [bodiesOf(romeo, 50), bodiesOf(juliet, 50)];
        await Promise.all([chat(juliet, ROMEO, ...some), chat(romeo, JULIET, ...others)]);
        expect(await toRomeo).to.deep.equal(some);
        // Interop: Prosody has two streams then, and what waits for the slower one comes later.
        expect(await toJuliet).to.have.members(others);
      });

      it('keeps a thousand messages each way in order', async () => {
        await chat(juliet, ROMEO, 'first');
        expect(await bodiesOf(romeo, 1)).to.deep.equal(['first']);
        await chat(romeo, JULIET, 'first');
        expect(await bodiesOf(juliet, 1)).to.deep.equal(['first']);
        const [toRomeo, toJuliet] = [bodiesOf(romeo, COUNT), bodiesOf(juliet, COUNT)];
        await Promise.all([chat(juliet, ROMEO, ...lines('juliet')), chat(romeo, JULIET, ...lines('romeo'))]);
        expect(await toRomeo).to.deep.equal(lines('juliet'));
        expect(await toJuliet).to.deep.equal(lines('romeo'));
        for (const { secure } of capulet.running.operations.serverStreams().streams) expect(secure).to.equal(true);
      });

      it('keeps messages for who is away, both ways', async () => {
        await chat(juliet, `benvolio@${MONTAGUE}`, 'part, fools');
        await chat(romeo, `nurse@${CAPULET}`, 'hie you hence');
        // Behind the messages on their way
        await juliet.perform({ command: 'ping', to: MONTAGUE });
        await romeo.perform({ command: 'ping', to: CAPULET });
        const benvolio = await login(`benvolio@${MONTAGUE}`, address, peer.clientPort);
        expect(await bodiesOf(benvolio, 1)).to.deep.equal(['part, fools']);
        const nurse = await login(`nurse@${CAPULET}`, '127.0.0.1', capulet.clientPort);
        expect(await bodiesOf(nurse, 1)).to.deep.equal(['hie you hence']);
      });

      it('says what is wrong where the user or the server does not exist', async () => {
        await chat(juliet, `tybalt@${MONTAGUE}`, 'peace');
        await juliet.next('message', ({ type, sender }) => type === 'error' && sender === `tybalt@${MONTAGUE}`);
        await chat(romeo, `tybalt@${CAPULET}`, 'peace');
        await romeo.next('message', ({ type, sender }) => type === 'error' && sender === `tybalt@${CAPULET}`);
        await chat(juliet, 'romeo@mantua.example', 'banished');
        await juliet.next('message', ({ type, sender }) => type === 'error' && sender === 'romeo@mantua.example');
      });

      it('loses nothing silently when the other server is killed in the middle and comes back', async () => {
        await chat(juliet, ROMEO, 'first');
        expect(await bodiesOf(romeo, 1)).to.deep.equal(['first']);
        const all = lines('juliet');
        await chat(juliet, ROMEO, ...all.slice(0, COUNT / 2));
        // One that is slow might have taken all of them and delivered none, and would lose them all.
        const arrived = new Set(await bodiesOf(romeo, 1));
        await peer.kill();
        await chat(juliet, ROMEO, ...all.slice(COUNT / 2));
        await peer.restart();
        const again = await enterRomeo();
        await chat(juliet, ROMEO, 'last');
        await nothingIsOwed();
        const returned = new Set<string>();
        let missing: readonly string[] = all;
        const isSettled = (): boolean =>
          arrived.has('last') &&
          missing.length < COUNT / 2 &&
          !all.slice(COUNT / 2).some((body) => missing.includes(body));
        // The other server may deliver what it kept while Romeo was away behind what came later.
        for (const deadline = Date.now() + PATIENCE_MS; !isSettled() && Date.now() < deadline;) {
          await juliet.perform({ command: 'ping', to: CAPULET });
          for (const client of [romeo, again]) {
            for (const { body, type } of client.takeLeft('message')) if (type === 'chat') arrived.add(body);
          }
          for (const { body, type } of juliet.takeLeft('message')) if (type === 'error') returned.add(body);
          missing = all.filter((body) => !arrived.has(body) && !returned.has(body));
          await setTimeout(POLL_MS);
        }
        expect(returned.size).to.be.lessThan(COUNT / 2 + 1);
        // A message that the other server had taken and not yet delivered when it was killed is its own loss, and it
        // has acknowledged such a message; of those it has not, none may be missing.
        expect(missing.length, `neither arrived nor returned: ${missing.join()}`).to.be.lessThan(COUNT / 2);
        expect(all.slice(COUNT / 2).filter((body) => missing.includes(body))).to.deep.equal([]);
      });
    });

    for (const [what, meeting] of [
      ['direct TLS', { directTls: true }],
      ['dialback only', { dialback: true, isUntrusted: true, ours: { isUntrusted: true } }],
    ] as const satisfies readonly (readonly [string, Meeting])[]) {
      it(`works with ${what}`, async () => {
        await meet(meeting);
        try {
          const isUntrusted = 'isUntrusted' in meeting;
          const [juliet, romeo] = [await enterOurs(isUntrusted), await enterRomeo(isUntrusted)];
          await chat(juliet, ROMEO, 'wherefore');
          expect(await bodiesOf(romeo, 1)).to.deep.equal(['wherefore']);
          await chat(romeo, JULIET, 'neither');
          expect(await bodiesOf(juliet, 1)).to.deep.equal(['neither']);
        } finally {
          await part();
        }
      });
    }
    it('takes a further domain of ours on the same stream (XEP-0220 2.6.1)', async () => {
      const rooms = `rooms.${CAPULET}`;
      await meet({ dialback: true, isUntrusted: true, ours: { isUntrusted: true, furtherDomains: [rooms] } });
      try {
        const place = ['127.0.0.1', capulet.clientPort, true] as const;
        const [juliet, other] = [await login(JULIET, ...place), await login(`juliet@${rooms}`, ...place)];
        const romeo = await enterRomeo(true);
        await chat(juliet, ROMEO, 'one');
        expect(await bodiesOf(romeo, 1)).to.deep.equal(['one']);
        await chat(other, ROMEO, 'two', 'three');
        expect(await bodiesOf(romeo, 2)).to.deep.equal(['two', 'three']);
        await chat(juliet, ROMEO, 'four');
        await chat(other, ROMEO, 'five');
        expect(await bodiesOf(romeo, 2)).to.have.members(['four', 'five']);
        await chat(romeo, `juliet@${rooms}`, 'six');
        expect(await bodiesOf(other, 1)).to.deep.equal(['six']);
        const shared = capulet.running.operations
          .serverStreams()
          .streams.filter(({ direction, local }) => direction === 'outgoing' && local.length === 2);
        expect(shared).to.have.length(1);
        for (const client of [juliet, other]) {
          expect(client.takeLeft('message').filter(({ type }) => type === 'error')).to.deep.equal([]);
        }
      } finally {
        await part();
      }
    });

    const enterOurs = async (isUntrusted: boolean): Promise<ClientProcess> =>
      login(JULIET, '127.0.0.1', capulet.clientPort, isUntrusted);

    it('is refused where policy asks for a certificate, and the other has none that is valid', async () => {
      await meet({ dialback: true, isUntrusted: true, ours: { environment: { POSTHORN_S2S_POLICY: 'certificate' } } });
      try {
        const [juliet, romeo] = [await enterJuliet(), await enterRomeo(true)];
        await chat(juliet, ROMEO, 'wherefore');
        await juliet.next('message', ({ type, sender }) => type === 'error' && sender === ROMEO);
        await chat(romeo, JULIET, 'neither');
        await romeo.next('message', ({ type, sender }) => type === 'error' && sender === JULIET);
        expect(juliet.takeLeft('message')).to.deep.equal([]);
      } finally {
        await part();
      }
    });
  });
}
