import { expect } from 'chai';

import { dns } from '../../../../server/admin/doctor/dns.ts';
import { federation } from '../../../../server/admin/doctor/federation.ts';
import type { Check } from '../../../../server/admin/doctor/check.ts';
import { srv } from '../../../support/dns-server.ts';
import { Verona, type ServerChoice, type ServerInPlay } from '../../../support/federated-servers.ts';
import { temporaryDirectory } from '../../../storage/temporary-directory.ts';
import { saysOf } from './scene.ts';

const DOMAIN = 'capulet.example';

describe('server/admin/doctor: names and federation', () => {
  let verona: Verona;
  let server: ServerInPlay;
  let directory: string;
  let remove: () => Promise<void>;

  beforeEach(async () => {
    ({ path: directory, remove } = await temporaryDirectory());
    verona = await Verona.found();
  });
  afterEach(async () => {
    await verona.fall();
    await remove();
  });

  const begin = async (choice: ServerChoice = {}): Promise<void> => {
    server = await verona.start(DOMAIN, [], choice);
  };
  const portOf = (name: string): number => server.running.listening.find((place) => place.name === name)?.port ?? 0;
  /** What a check says of the running server, or of one that is down. */
  const says = async (check: Check, environment: Record<string, string> = {}, isRunning = true): Promise<string[]> =>
    saysOf(check, {
      directory,
      environment: {
        POSTHORN_DOMAINS: DOMAIN,
        POSTHORN_S2S_RESOLVERS: `127.0.0.1:${verona.dns.port}`,
        POSTHORN_S2S_AUTHORITIES: (await verona.certificate('authority.example', false)).caFile,
        ...environment,
      },
      ...(isRunning && { running: server.running.operations.inspect() }),
    });
  const place = (): string => `${DOMAIN} at 127.0.0.1 port ${portOf('s2s')}`;

  describe('DNS', () => {
    it('leads clients and other servers here', async () => {
      await begin();
      verona.dns.records.push(
        { type: 'A', name: DOMAIN, ttlSeconds: 60, address: '127.0.0.1' },
        { ...srv(DOMAIN, 'localhost', portOf('c2s')), name: `_xmpp-client._tcp.${DOMAIN}` },
      );
      const lines = await says(dns);
      expect(lines).to.include(`ok ${DOMAIN}: is at 127.0.0.1`);
      expect(lines).to.include(
        `ok _xmpp-client._tcp.${DOMAIN}: leads to localhost port ${portOf('c2s')} (127.0.0.1), which answers`,
      );
      expect(lines).to.include(`ok _xmpp-server._tcp.${DOMAIN}: leads to localhost port ${portOf('s2s')} (127.0.0.1)`);
      expect(lines).to.include(`note _xmpps-server._tcp.${DOMAIN}: no record: other servers do not use direct TLS`);
      expect(lines.filter((line) => line.startsWith('error'))).to.deep.equal([]);
    });

    it('leads to a host without an address, or to a port where nothing listens', async () => {
      await begin();
      verona.dns.records.push(
        { ...srv(DOMAIN, 'nowhere.example', 5222), name: `_xmpp-client._tcp.${DOMAIN}` },
        { ...srv(DOMAIN, 'localhost', 1), name: `_xmpps-client._tcp.${DOMAIN}` },
      );
      const lines = await says(dns);
      expect(lines).to.include(
        `error _xmpp-client._tcp.${DOMAIN}: leads to nowhere.example: DNS knows no address of nowhere.example`,
      );
      expect(lines).to.include(
        `error _xmpps-client._tcp.${DOMAIN}: leads to localhost, 127.0.0.1 port 1: nothing listens there (ECONNREFUSED)`,
      );
    });

    it('says that a service is not offered, or knows nothing of a domain', async () => {
      await begin();
      verona.dns.records = [{ ...srv(DOMAIN, '', 0), name: `_xmpp-client._tcp.${DOMAIN}` }];
      const lines = await says(dns);
      expect(lines).to.include(`error _xmpp-client._tcp.${DOMAIN}: tells clients that there is no such service`);
      expect(lines).to.include(
        `error _xmpp-server._tcp.${DOMAIN}: no record, and ${DOMAIN} has no address: other servers find nothing`,
      );
    });

    it('leads by default to a port on which the server does not listen', async () => {
      await begin();
      verona.dns.records = [{ type: 'A', name: DOMAIN, ttlSeconds: 60, address: '127.0.0.1' }];
      expect(await says(dns)).to.include(
        `error _xmpp-server._tcp.${DOMAIN}: no record: other servers go to port 5269 of ${DOMAIN}, the server listens on ${portOf('s2s')}`,
      );
    });

    it('is asked about a name that is not of ASCII as DNS has it', async () => {
      await begin();
      const name = 'xn--vrone-bsa.example';
      verona.dns.records.push(
        { type: 'A', name, ttlSeconds: 60, address: '127.0.0.1' },
        { ...srv(name, 'localhost', portOf('s2s')), name: `_xmpp-server._tcp.${name}` },
      );
      const lines = await says(dns, { POSTHORN_DOMAINS: 'vérone.example' });
      expect(lines).to.include(`ok ${name}: is at 127.0.0.1`);
      expect(lines).to.include(`ok _xmpp-server._tcp.${name}: leads to localhost port ${portOf('s2s')} (127.0.0.1)`);
    });

    it('does not answer', async () => {
      await begin();
      verona.dns.isSilent = true;
      const lines = await says(dns, { POSTHORN_S2S_DNS_TIMEOUT_SECONDS: '1' });
      expect(lines.some((line) => line.startsWith(`error _xmpp-server._tcp.${DOMAIN}: DNS does not answer`))).to.equal(
        true,
      );
    });

    it('is not asked about names of this machine and names that no public DNS knows', async () => {
      await begin();
      verona.dns.questions.length = 0;
      expect(await says(dns, { POSTHORN_DOMAINS: 'localhost,127.0.0.1' })).to.deep.equal([
        'ok localhost: is known to this machine alone: DNS is not asked',
        'ok 127.0.0.1: is an address: there is nothing to look up',
      ]);
      expect(await says(dns, { POSTHORN_S2S_RESOLVERS: '' })).to.deep.equal([
        `ok ${DOMAIN}: ends with .example: no public DNS knows it`,
      ]);
      expect(verona.dns.questions).to.deep.equal([]);
    });
  });

  describe('federation', () => {
    it('lets another server in by STARTTLS, and by direct TLS', async () => {
      await begin();
      verona.dns.records.push(srv(DOMAIN, 'localhost', portOf('s2s-tls'), { direct: true }));
      const lines = await says(federation);
      expect(lines).to.have.members([
        `ok ${place()}: another server gets in by STARTTLS (TLSv1.3), sees a valid certificate and finds this very one by dialback`,
        `ok ${DOMAIN} at 127.0.0.1 port ${portOf('s2s-tls')}: another server gets in by direct TLS (TLSv1.3), sees a valid certificate and finds this very one by dialback`,
      ]);
      expect(server.running.operations.serverStreams().waiting).to.deep.equal([]);
    });

    it('shows a certificate for which nobody vouches', async () => {
      await begin({ isUntrusted: true });
      const [line] = await says(federation);
      expect(line).to.match(
        /^warning .*: the certificate does not prove capulet.example to another server: nothing leads/,
      );
    });

    it('shows a certificate of another domain', async () => {
      await begin({ certificateDomain: 'verona.example' });
      const [line] = await says(federation);
      expect(line).to.match(/^warning .*: it is not for capulet.example$/);
    });

    it('is somebody else where the records lead', async () => {
      await begin();
      const montague = await verona.start('montague.example', []);
      const other = montague.running.listening.find(({ name }) => name === 's2s')?.port ?? 0;
      verona.announce(DOMAIN, other);
      const [line] = await says(federation);
      expect(line).to.match(/^error .*: another server does not get in: .*host-unknown/);
    });

    it('is found by dialback only where it is this very server that answers', async () => {
      await begin();
      const ours = server;
      const other = await verona.start(DOMAIN, []); // another machine of the same name, to which the records lead now
      const port = other.running.listening.find(({ name }) => name === 's2s')?.port ?? 0;
      expect(port).not.to.equal(portOf('s2s'));
      const lines = await says(federation);
      expect(lines).to.deep.equal([
        `error ${DOMAIN} at 127.0.0.1 port ${port}: dialback finds another server of ${DOMAIN} than this one: it does not know the keys of this one`,
      ]);
      verona.announce(DOMAIN, portOf('s2s'));
      expect(ours.running.operations.inspect().visitorKeys.map(({ domain }) => domain)).to.deep.equal([DOMAIN]);
      expect((await says(federation)).join()).to.include('finds this very one by dialback');
    });

    it('finds a port where nothing listens, and STARTTLS where direct TLS is promised', async () => {
      await begin();
      verona.announce(DOMAIN, 1);
      expect(await says(federation)).to.deep.equal([
        `error ${DOMAIN} at 127.0.0.1 port 1: another server cannot connect: nothing listens there (ECONNREFUSED)`,
      ]);
      verona.announce(DOMAIN, portOf('s2s'), true);
      const [line] = await says(federation);
      expect(line).to.match(/^error .*: another server does not get in: /);
    });

    it('is examined where there is something to examine', async () => {
      await begin();
      expect(await says(federation, {}, false)).to.deep.equal([
        'ok federation: is examined while the server runs: it is visited then',
      ]);
      expect(await says(federation, { POSTHORN_S2S_POLICY: 'deny' })).to.deep.equal([
        'ok s2s.policy: lets in only those whom s2s.policies names: nobody can come for a visit',
      ]);
      expect(await says(federation, { POSTHORN_S2S_ENABLED: 'false' })).to.deep.equal(['ok federation: is off']);
      expect(await says(federation, { POSTHORN_DOMAINS: 'localhost' })).to.deep.equal([
        'ok federation: localhost talks to nobody',
      ]);
    });
  });
});
