import { networkInterfaces } from 'node:os';
import { connect } from 'node:net';
import { once } from 'node:events';
import { expect } from 'chai';

import { readExposition, type ScrapedMetric } from '../../../support/exposition.ts';
import { serverForTests, type ServerForTests } from '../../../support/running-server.ts';
import { TestClient } from '../../../support/test-client.ts';

const message = (to: string, body: string): string => `<message type='chat' to='${to}'><body>${body}</body></message>`;

describe('server/http/metrics', () => {
  let play: ServerForTests;

  async function open(environment: Readonly<Record<string, string>> = {}): Promise<void> {
    play = await serverForTests({ environment: { POSTHORN_OPERATIONS_PORT: '0', ...environment } });
  }

  const place = () => play.server.listening.find(({ name }) => name === 'operations')!;

  async function scrape(): Promise<Map<string, ScrapedMetric>> {
    const response = await fetch(`http://127.0.0.1:${place().port}/metrics`);
    expect(response.status).to.equal(200);
    expect(response.headers.get('content-type')).to.match(/^text\/plain; version=0\.0\.4/);
    return readExposition(await response.text());
  }

  /** Scrapes until the series has the value: what is written to a socket is counted when the system took it. */
  async function reaches(series: string, wanted: number): Promise<void> {
    const name = series.split('{')[0]!.replace(/_count$/, '');
    let value: number | undefined;
    while (value !== wanted) {
      value = (await scrape()).get(name)?.samples.get(series);
      if (value === undefined || value > wanted) throw new Error(`${series} is ${value}, not ${wanted}`);
    }
  }

  afterEach(() => play.stop());

  it('are valid, with units in their names', async () => {
    await open();
    const metrics = await scrape();
    for (const [name, { type, help, samples }] of metrics) {
      expect(name).to.match(/^(posthorn|process|nodejs)_[a-z_]+$/);
      expect(name.endsWith('_total') && name !== 'nodejs_heap_size_total_bytes', name).to.equal(type === 'counter');
      if (type === 'histogram') expect(name).to.match(/_(seconds|bytes|records)$/);
      expect(help, name).to.match(/\.$/);
      if (name !== 'nodejs_gc_duration_seconds') expect(samples.size, name).to.be.greaterThan(0);
    }
    const build = [...metrics.get('posthorn_build_info')!.samples.entries()];
    expect(build).to.have.length(1);
    expect(build[0]![0]).to.match(/^posthorn_build_info\{version="[\d.]+",node_version="[\d.]+"\}$/);
    expect(build[0]![1]).to.equal(1);
  });

  it('have cumulative buckets that end in the count', async () => {
    await open();
    for (const body of ['Good morrow', 'Good night', 'Parting']) {
      const juliet = await play.login('juliet', body.replace(' ', ''));
      juliet.send(message('romeo@localhost', body));
    }
    await reaches('posthorn_messages_total{outcome="stored"}', 3);
    for (const [name, { type, samples }] of await scrape()) {
      if (type !== 'histogram') continue;
      let last = 0;
      for (const [series, value] of samples) {
        if (series.includes('_bucket')) {
          expect(value, series).to.be.at.least(last);
          last = series.includes('+Inf') ? 0 : value;
          if (!series.includes('+Inf')) continue;
          const count = series
            .replace('_bucket', '_count')
            .replace(/,?le="\+Inf"/, '')
            .replace('{}', '');
          expect(samples.get(count), count).to.equal(value);
        }
      }
      expect(samples.size, name).to.be.greaterThan(3);
    }
  });

  it('move as a play goes on', async () => {
    await open();
    const romeo = await play.login('romeo', 'orchard');
    romeo.send(`<presence/>`);
    await romeo.until(/<presence [^>]*>/);
    const juliet = await play.login('juliet', 'balcony');
    juliet.send(message('romeo@localhost', 'Wherefore art thou'));
    await romeo.until(/Wherefore art thou/);
    await reaches('posthorn_messages_total{outcome="delivered"}', 1);
    juliet.send(message('nobody@localhost', 'Anybody?'));
    await reaches('posthorn_messages_total{outcome="refused"}', 1);
    const metrics = await scrape();
    const value = (series: string): number | undefined =>
      metrics.get(series.split('{')[0]!.replace(/_(count|sum)$/, ''))?.samples.get(series);
    expect(value('posthorn_received_stanzas_total{peer="client",kind="message"}')).to.equal(2);
    expect(value('posthorn_received_stanzas_total{peer="client",kind="presence"}')).to.equal(1);
    expect(value('posthorn_sent_stanzas_total{peer="client",kind="message"}')).to.equal(2); // and the error
    expect(value('posthorn_connections{transport="tcp",tls="false",state="bound"}')).to.equal(2);
    expect(value('posthorn_connections_accepted_total{peer="client"}')).to.equal(2);
    expect(value('posthorn_sessions{state="connected"}')).to.equal(2);
    const logins = [...metrics.get('posthorn_logins_total')!.samples].filter(([, count]) => count > 0);
    expect(logins).to.have.length(1);
    expect(logins[0]![0]).to.match(/outcome="success"/);
    expect(logins[0]![1]).to.equal(2);
    expect(value('posthorn_login_seconds_count')).to.equal(2);
    for (const stage of ['routed', 'committed', 'handled', 'written']) {
      // The first message is measured, then one of 17.
      expect(value(`posthorn_message_stage_seconds_count{stage="${stage}"}`), stage).to.equal(1);
    }
    expect(value('posthorn_archived_messages_total')).to.be.at.least(2);
    expect(value('posthorn_commit_seconds_count')).to.be.greaterThan(0);
    expect(value('posthorn_received_bytes_total{peer="client"}')).to.be.greaterThan(500);
    expect(value('posthorn_sent_bytes_total{peer="client"}')).to.be.greaterThan(500);
    expect(value('posthorn_stanza_faults_total')).to.equal(0);
    juliet.destroy();
    await reaches('posthorn_sessions{state="connected"}', 1);
  });

  it('name nobody', async () => {
    await open();
    const juliet = await play.login('juliet', 'balcony');
    juliet.send(message('romeo@montague.example/orchard', 'O Romeo'));
    await reaches('posthorn_messages_total{outcome="refused"}', 1);
    const text = await (await fetch(`http://127.0.0.1:${place().port}/metrics`)).text();
    expect(text).not.to.match(/juliet|romeo|montague|balcony|@|127\.0\.0\.1/);
  });

  it('count logins that fail, by mechanism and condition', async () => {
    await open();
    const client = await TestClient.connect(play.server.listening.find(({ name }) => name === 'c2s')!.port);
    client.open();
    await client.until(/<\/stream:features>/);
    client.send(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='POISON'/>`);
    await client.until(/<\/failure>/);
    client.send(
      `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>${btoa('\0juliet\0montague')}</auth>`,
    );
    await client.until(/<\/failure>/);
    const metrics = await scrape();
    client.destroy();
    const failed = [...metrics.get('posthorn_logins_total')!.samples].filter(([, count]) => count > 0);
    expect(failed).to.have.deep.members([
      ['posthorn_logins_total{mechanism="PLAIN",outcome="failure"}', 1],
      ['posthorn_logins_total{mechanism="other",outcome="failure"}', 1],
    ]);
    const conditions = [...metrics.get('posthorn_login_failures_total')!.samples].filter(([, count]) => count > 0);
    expect(conditions).to.have.deep.members([
      ['posthorn_login_failures_total{condition="invalid-mechanism"}', 1],
      ['posthorn_login_failures_total{condition="not-authorized"}', 1],
    ]);
  });

  it('are not there where operations.metrics is false, but health is', async () => {
    await open({ POSTHORN_OPERATIONS_METRICS: 'false' });
    expect((await fetch(`http://127.0.0.1:${place().port}/metrics`)).status).to.equal(404);
    expect((await fetch(`http://127.0.0.1:${place().port}/health`)).status).to.equal(200);
  });

  it('are reached over loopback alone unless configured otherwise', async () => {
    await open();
    expect(place().address).to.equal('127.0.0.1');
    const outside = Object.values(networkInterfaces())
      .flatMap((addresses) => addresses ?? [])
      .find(({ internal, family }) => !internal && family === 'IPv4');
    // A machine without a network cannot be asked from outside; what it listens on was checked above.
    if (outside === undefined) return;
    const socket = connect(place().port, outside.address);
    const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
    expect(error.code).to.equal('ECONNREFUSED');
  });

  it('take a GET and nothing else', async () => {
    await open();
    expect((await fetch(`http://127.0.0.1:${place().port}/metrics`, { method: 'POST' })).status).to.equal(405);
  });
});
