import { expect } from 'chai';
import { NO_SECURITY } from '../../../server/sasl/mechanisms.ts';
import { Verona } from '../../support/federated-servers.ts';
import { FederationStage, certified, uncertified } from '../../support/federation-stage.ts';
import { recordingLog } from '../../support/recording-log.ts';

describe('the log lines of streams between servers', () => {
  for (const [proof, isUntrusted, directTls] of [
    ['certificate', false, false],
    ['certificate', false, true],
    ['dialback', true, false],
  ] as const) {
    it(`say how a stream came up: ${proof}, ${directTls ? 'direct TLS' : 'STARTTLS'}`, async () => {
      const verona = await Verona.found();
      const one = recordingLog();
      const other = recordingLog();
      try {
        const capulet = await verona.start('capulet.example', ['juliet'], { log: one.log, isUntrusted, directTls });
        const montague = await verona.start('montague.example', ['romeo'], { log: other.log, isUntrusted, directTls });
        const juliet = await capulet.enter('juliet', 'balcony');
        const romeo = await montague.enter('romeo', 'orchard');
        juliet.send(`<message to='romeo@montague.example' type='chat'><body>hi</body></message>`);
        await romeo.until(/<body>hi<\/body>/);
        const up = (lines: typeof one.lines, direction: string) =>
          lines.find((line) => line.text === 'a stream between servers is up' && line['direction'] === direction);
        const expected = {
          remote: 'montague.example',
          local: 'capulet.example',
          proof,
          tls: `TLSv1.3 (${directTls ? 'direct' : 'STARTTLS'})`,
          address: '127.0.0.1',
        };
        expect(up(one.lines, 'outgoing')).to.include(expected);
        expect(up(other.lines, 'incoming')).to.include({ ...expected, remote: expected.local, local: expected.remote });
        const problem = up(one.lines, 'outgoing')?.['peerCertificate'];
        if (isUntrusted)
          expect(problem).to.match(/^nothing leads from it to a trusted authority: .*s2s\.authorities can name/);
        else expect(problem).to.equal(undefined);
        montague.running.operations.closeServerStreams('capulet.example');
        for (let turns = 0; turns < 500 && one.lines.every(({ text }) => !text.endsWith('is over')); turns++) {
          await new Promise((resolve) => setTimeout(resolve, 2));
        }
        expect(one.lines.find(({ text }) => text.endsWith('is over'))?.['reason']).to.match(/closed/);
      } finally {
        await verona.fall();
      }
    });
  }

  describe('of failures say what an operator can act on:', () => {
    const opened = async (environment: Record<string, string> = {}) => {
      const { log, lines } = recordingLog();
      const stage = await FederationStage.open({ environment, log });
      return { stage, lines };
    };

    it('a certificate that policy wants', async () => {
      const { stage, lines } = await opened({ POSTHORN_S2S_POLICY: 'certificate' });
      const peer = stage.connect(uncertified('montague.example'));
      peer.open('montague.example');
      peer.send(`<db:result xmlns:db='jabber:server:dialback' from='montague.example' to='example.com'>k</db:result>`);
      await peer.until(/not-authorized/);
      expect(lines.at(-1)).to.include({
        text: 'another server has no valid certificate, and s2s.policy asks for one',
        domain: 'montague.example',
        reason: 'it is signed by nobody but itself (DEPTH_ZERO_SELF_SIGNED_CERT)',
      });
    });

    it('a certificate of another domain for SASL EXTERNAL', async () => {
      const { stage, lines } = await opened();
      const peer = stage.connect(certified('verona.example'));
      peer.open('montague.example');
      peer.send(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>`);
      await peer.until(/not-authorized/);
      expect(lines.at(-1)).to.include({ reason: 'it shows no certificate for montague.example' });
    });

    it('a server that proves nothing in time', async () => {
      const { stage, lines } = await opened();
      const peer = stage.connect(NO_SECURITY);
      peer.open('montague.example');
      await peer.until(/<\/stream:features>/);
      await stage.pass(130);
      expect(lines.at(-1)).to.include({ claimed: 'montague.example', secure: false });
      expect(lines.at(-1)?.text).to.match(/^another server proved no domain in time/);
    });

    it('a server that cannot be reached', async () => {
      const { stage, lines } = await opened();
      await stage.juliet.send(`<message to='romeo@montague.example' type='chat'><body>hi</body></message>`);
      await stage.stage.settle();
      expect(lines.at(-1)).to.include({
        text: 'another server cannot be reached',
        local: 'example.com',
        remote: 'montague.example',
        reason: 'montague.example cannot be reached',
        waiting: 1,
      });
    });
  });
});
