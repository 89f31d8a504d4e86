import { expect } from 'chai';
import { systemClock } from '../../../server/clock.ts';
import { DnsClient, DnsError } from '../../../server/federation/dns-client.ts';
import { NameResolution, parseDnsServer, ResolutionError } from '../../../server/federation/name-resolution.ts';
import { inServiceOrder } from '../../../server/federation/service-order.ts';
import { dnsServerForTests, srv, type DnsServerForTests } from '../../support/dns-server.ts';
import { ManualClock } from '../../support/manual-clock.ts';

async function failure(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error('it did not fail');
}

describe('name resolution', () => {
  let server: DnsServerForTests;
  let clock: ManualClock;

  beforeEach(async () => {
    server = await dnsServerForTests([]);
    clock = new ManualClock();
  });
  afterEach(() => server.close());

  const client = (options: { maxRunning?: number; maxWaiting?: number; timeoutMs?: number } = {}): DnsClient =>
    new DnsClient({
      servers: [{ address: '127.0.0.1', port: server.port }],
      timeoutMs: 5000,
      maxRunning: 8,
      maxWaiting: 8,
      clock: systemClock,
      ...options,
    });
  const names = (dns = client()): NameResolution => new NameResolution({ dns, routes: [], clock, random: () => 0 });

  it('puts the records of both services in one order, by priority (RFC 6120 3.2.1, XEP-0368 3)', async () => {
    server.records = [
      srv('capulet.example', 'late.capulet.example', 5269, { priority: 20 }),
      srv('capulet.example', 'first.capulet.example', 5270, { priority: 5, direct: true }),
      srv('capulet.example', 'second.capulet.example', 5269, { priority: 10 }),
    ];
    expect(await names().targets('capulet.example')).to.deep.equal([
      [{ host: 'first.capulet.example', port: 5270, directTls: true }],
      [{ host: 'second.capulet.example', port: 5269, directTls: false }],
      [{ host: 'late.capulet.example', port: 5269, directTls: false }],
    ]);
  });

  it('keeps the best of too many records', async () => {
    server.records = Array.from({ length: 20 }, (_, n) =>
      srv('capulet.example', `h${n}.capulet.example`, 5269, { priority: 100 - n }),
    );
    const groups = await names().targets('capulet.example');
    expect(groups).to.have.length(16);
    expect(groups[0]).to.deep.equal([{ host: 'h19.capulet.example', port: 5269, directTls: false }]);
  });

  it('falls back to the domain itself and port 5269 where there are no records (RFC 6120 3.2.2)', async () => {
    expect(await names().targets('capulet.example')).to.deep.equal([
      [{ host: 'capulet.example', port: 5269, directTls: false }],
    ]);
  });

  it('does not fall back where DNS says that the service is not offered (RFC 2782)', async () => {
    server.records = [srv('capulet.example', '', 0)];
    const error = await failure(names().targets('capulet.example'));
    expect(error).to.be.instanceOf(ResolutionError).with.property('isCertain', true);
  });

  it('still expects STARTTLS where DNS says only that direct TLS is not offered (XEP-0368)', async () => {
    server.records = [srv('capulet.example', '', 0, { direct: true })];
    expect(await names().targets('capulet.example')).to.deep.equal([
      [{ host: 'capulet.example', port: 5269, directTls: false }],
    ]);
  });

  it('keeps for an hour at most that something does not exist (RFC 2308 5)', async () => {
    server.authority = { type: 'SOA', name: 'example', ttlSeconds: 86_400, minimumSeconds: 86_400 };
    expect(await client().ask('capulet.example', 'A')).to.deep.equal({ addresses: [], services: [], ttlSeconds: 3600 });
    server.authority = { type: 'SOA', name: 'example', ttlSeconds: 86_400, minimumSeconds: 30 };
    expect(await client().ask('capulet.example', 'A')).to.have.property('ttlSeconds', 30);
  });

  it('asks for an internationalised domain by its A-labels, and not at all for an address', async () => {
    await names().targets('bücher.example');
    expect(server.questions).to.include('SRV _xmpp-server._tcp.xn--bcher-kva.example');
    server.questions.length = 0;
    expect(await names().targets('[2001:db8::1]')).to.deep.equal([
      [{ host: '2001:db8::1', port: 5269, directTls: false }],
    ]);
    expect(server.questions).to.deep.equal([]);
  });

  it('takes IPv6 and IPv4 addresses by turns, IPv6 first (RFC 8305 4)', async () => {
    const name = 'xmpp.capulet.example';
    server.records = [
      { type: 'A', name, ttlSeconds: 300, address: '192.0.2.1' },
      { type: 'A', name, ttlSeconds: 300, address: '192.0.2.2' },
      { type: 'AAAA', name, ttlSeconds: 300, address: '2001:db8::1' },
    ];
    expect(await names().addresses(name)).to.deep.equal(['2001:db8::1', '192.0.2.1', '192.0.2.2']);
  });

  it('says that a host without addresses does not exist', async () => {
    const error = await failure(names().addresses('nowhere.example'));
    expect(error).to.be.instanceOf(ResolutionError).with.property('isCertain', true);
  });

  it('follows an alias, and believes no answer under another name', async () => {
    const dns = client();
    server.records = [
      { type: 'CNAME', name: 'alias.example', ttlSeconds: 20, target: 'a.example' },
      { type: 'A', name: 'a.example', ttlSeconds: 300, address: '192.0.2.1' },
    ];
    const { addresses, ttlSeconds } = await dns.ask('alias.example', 'A');
    expect(addresses).to.deep.equal(['192.0.2.1']);
    expect(ttlSeconds).to.equal(20);
    expect((await dns.ask('b.example', 'A')).addresses).to.deep.equal([]);
  });

  it('keeps an answer as long as its time to live says, the negative one too', async () => {
    server.records = [srv('capulet.example', 'xmpp.capulet.example', 5269, { ttl: 100 })];
    const resolution = names();
    await resolution.targets('capulet.example');
    await resolution.targets('capulet.example');
    expect(server.questions).to.have.length(2);
    clock.advance(59_000); // the negative answer for _xmpps-server lasts a minute
    await resolution.targets('capulet.example');
    expect(server.questions).to.have.length(2);
    clock.advance(42_000);
    await resolution.targets('capulet.example');
    expect(server.questions).to.have.length(4);
  });

  it('asks again over TCP when the answer does not fit into a datagram (RFC 7766)', async () => {
    server.truncates = true;
    server.records = Array.from({ length: 60 }, (_, index) => srv('capulet.example', `host${index}.example`, 5269));
    const { services } = await client().ask('_xmpp-server._tcp.capulet.example', 'SRV');
    expect(services).to.have.length(60);
    // and however many there are, only a bounded number is used
    expect((await names().targets('capulet.example')).flat()).to.have.length(16);
  });

  it('gives up on a server that does not answer, and does not call that a domain that does not exist', async () => {
    server.isSilent = true;
    const error = await failure(names(client({ timeoutMs: 20 })).targets('capulet.example'));
    expect(error).to.be.instanceOf(ResolutionError).with.property('isCertain', false);
  });

  it('has a bound for the questions under way', async () => {
    server.isSilent = true;
    const dns = client({ maxRunning: 1, maxWaiting: 1, timeoutMs: 50 });
    const asked = [1, 2, 3].map((n) => failure(dns.ask(`n${n}.example`, 'A')));
    expect(await asked[2]).to.be.instanceOf(DnsError);
    expect(String(await asked[2])).to.include('too many');
    await Promise.all(asked);
  });

  it('chooses by weight within one priority (RFC 2782)', () => {
    const records = [
      { priority: 0, weight: 1, name: 'light' },
      { priority: 0, weight: 3, name: 'heavy' },
      { priority: 0, weight: 0, name: 'none' },
    ];
    const order = (random: number): string[] =>
      inServiceOrder(records, () => random)
        .flat()
        .map(({ name }) => name);
    expect(order(0)).to.deep.equal(['none', 'light', 'heavy']);
    expect(order(0.99)[0]).to.equal('heavy');
    expect(order(0.3)[0]).to.equal('light');
  });

  it('reads a resolver with and without a port', () => {
    expect(parseDnsServer('192.0.2.53')).to.deep.equal({ address: '192.0.2.53', port: 53 });
    expect(parseDnsServer('192.0.2.53:5353')).to.deep.equal({ address: '192.0.2.53', port: 5353 });
    expect(parseDnsServer('2001:db8::53')).to.deep.equal({ address: '2001:db8::53', port: 53 });
    expect(parseDnsServer('[2001:db8::53]:5353')).to.deep.equal({ address: '2001:db8::53', port: 5353 });
  });
});
