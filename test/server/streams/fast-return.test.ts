import { expect } from 'chai';
import { createHash } from 'node:crypto';
import { connect, type TLSSocket } from 'node:tls';

import { tokenList, tokenRevoke } from '../../../server/admin/commands/tokens.ts';
import { userDisable, userEnable } from '../../../server/admin/commands/users.ts';
import { CommandError } from '../../../server/admin/exit-codes.ts';
import { PASSWORD, serverForTests, type ServerForTests } from '../../support/running-server.ts';
import { ScramClient } from '../../support/scram-client.ts';
import { TestClient } from '../../support/test-client.ts';
import { tokenMessages } from '../../support/token-client.ts';

const SASL2 = `xmlns='urn:xmpp:sasl:2'`;
const BIND = `<bind xmlns='urn:xmpp:bind:0'><tag>Verona</tag><enable xmlns='urn:xmpp:sm:3' resume='true'/></bind>`;
const AGENT = `<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'><software>Verona</software><device>phone</device></user-agent>`;
const HEADER =
  `<?xml version='1.0'?><stream:stream from='juliet@localhost' to='localhost' version='1.0' ` +
  `xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`;
const WELCOME = /<success .*<\/success><stream:features>.*?<\/stream:features>/;

/** A client under direct TLS (XEP-0368) that knows its connection. */
interface Phone {
  readonly client: TestClient;
  readonly socket: TLSSocket;
  /** Channel binding data of RFC 9266. */
  readonly exporter: Buffer;
}

describe('a phone that returns, over TLS', () => {
  let play: ServerForTests;
  let phones: Phone[];

  beforeEach(async () => {
    phones = [];
    play = await serverForTests({
      environment: {
        POSTHORN_C2S_TLS_PORT: '0',
        POSTHORN_C2S_ALLOW_PLAINTEXT_AUTHENTICATION: 'false',
        POSTHORN_SASL_FREE_FAILURES: '100',
      },
    });
  });

  afterEach(async () => {
    for (const { client } of phones) client.destroy();
    await play.stop();
  });

  const command = () => {
    const { operations } = play.server;
    const { config, storage } = operations;
    return { config, storage, server: operations, requestStop: undefined, now: () => Date.now() };
  };

  async function dial(session?: Buffer): Promise<Phone> {
    const { port } = play.server.listening.find(({ name }) => name === 'c2s-tls')!;
    const socket = connect({ port, host: '127.0.0.1', servername: 'localhost', rejectUnauthorized: false, session });
    await new Promise<void>((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject));
    const phone = {
      client: new TestClient(socket),
      socket,
      exporter: socket.exportKeyingMaterial(32, 'EXPORTER-Channel-Binding', Buffer.alloc(0)),
    };
    phones.push(phone);
    return phone;
  }

  /** Logs in with SCRAM-SHA-256-PLUS, everything inline; what the server said. */
  async function firstLogin(phone: Phone, mechanism: string): Promise<{ features: string; success: string }> {
    const { client, exporter: data } = phone;
    client.send(HEADER);
    const features = await client.until(/<\/stream:features>/);
    const scram = new ScramClient({
      username: 'juliet',
      password: PASSWORD,
      mechanism: 'SCRAM-SHA-256-PLUS',
      channelBinding: { type: 'tls-exporter', data },
      advertised: {
        mechanisms: namesIn(features.replace(/<inline>.*<\/inline>/, '').replace(/<mechanisms .*<\/mechanisms>/, '')),
        bindings: [...features.matchAll(/<channel-binding type='([^']+)'\/>/g)].map(([, type]) => type!),
      },
    });
    client.send(
      `<authenticate ${SASL2} mechanism='SCRAM-SHA-256-PLUS'><initial-response>${scram.first()}</initial-response>` +
        `${AGENT}${BIND}<request-token xmlns='urn:xmpp:fast:0' mechanism='${mechanism}'/></authenticate>`,
    );
    const challenge = textIn(await client.until(/<challenge .*<\/challenge>/), 'challenge');
    client.send(`<response ${SASL2}>${scram.respond(challenge)}</response>`);
    const success = await client.until(WELCOME);
    scram.verify(textIn(success, 'additional-data'));
    return { features, success };
  }

  const withToken = (token: string, mechanism: string, data: Buffer, inline: string): string =>
    HEADER +
    `<authenticate ${SASL2} mechanism='${mechanism}'>` +
    `<initial-response>${tokenMessages('juliet', token, data).initial}</initial-response>${AGENT}${inline}` +
    `<fast xmlns='urn:xmpp:fast:0'/></authenticate>`;

  it('is back in one round trip with its session, bound to the new connection', async () => {
    const phone = await dial();
    const session = new Promise<Buffer>((resolve) => phone.socket.once('session', resolve));
    const { features, success } = await firstLogin(phone, 'HT-SHA-256-EXPR');
    const [token, id] = [attributeIn(success, 'token', 'token'), attributeIn(success, 'enabled', 'id')];
    const version = /<config-version [^>]*\/>/.exec(features)?.[0] ?? '';
    const ticket = await session;
    phone.client.destroy();

    const again = await dial(ticket);
    expect(again.socket.isSessionReused()).to.equal(true);
    const resume = `<resume xmlns='urn:xmpp:sm:3' previd='${id}' h='0'/>`;
    again.client.send(withToken(token, 'HT-SHA-256-EXPR', again.exporter, resume + BIND + version));
    const returned = await again.client.until(WELCOME);
    expect(returned).to.contain('<resumed ').and.not.to.contain('<bound');
    expect(textIn(returned, 'authorization-identifier')).to.equal(textIn(success, 'authorization-identifier'));
    expect(textIn(returned, 'additional-data')).to.equal(tokenMessages('juliet', token, again.exporter).expected);
  });

  for (const bindsFirst of [true, false]) {
    it(`is sent away when its token is revoked, ${bindsFirst ? 'also where it bound by RFC 6120' : 'or before it binds'}`, async () => {
      const phone = await dial();
      const { success } = await firstLogin(phone, 'HT-SHA-256-EXPR');
      const token = attributeIn(success, 'token', 'token');
      const again = await dial();
      again.client.send(withToken(token, 'HT-SHA-256-EXPR', again.exporter, ''));
      await again.client.until(WELCOME);
      if (bindsFirst) {
        again.client.send(`<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>`);
        await again.client.until(/<\/iq>/);
      }
      await tokenRevoke.run(command(), { jid: 'juliet@localhost' });
      expect(await again.client.until(/<\/stream:stream>/)).to.contain('<not-authorized ');
    });
  }

  it('cannot be replayed on another connection', async () => {
    const phone = await dial();
    const { success } = await firstLogin(phone, 'HT-SHA-256-EXPR');
    const replayed = withToken(attributeIn(success, 'token', 'token'), 'HT-SHA-256-EXPR', phone.exporter, BIND);
    const thief = await dial();
    thief.client.send(replayed);
    expect(await thief.client.until(/<failure .*<\/failure>/)).to.contain('<not-authorized ');
  });

  it('may bind its token to the certificate', async () => {
    const { success } = await firstLogin(await dial(), 'HT-SHA-256-ENDP');
    const again = await dial();
    again.client.send(withToken(attributeIn(success, 'token', 'token'), 'HT-SHA-256-ENDP', endPointOf(again), BIND));
    expect(await again.client.until(WELCOME)).to.contain('<bound ');
  });

  it('is shown by the command line, and cut off when its tokens are revoked', async () => {
    const phone = await dial();
    const { success } = await firstLogin(phone, 'HT-SHA-256-EXPR');
    const { clients } = await tokenList.run(command(), { jid: 'juliet@localhost' });
    expect(clients).to.have.lengthOf(1);
    expect(clients[0]).to.include({ software: 'Verona', device: 'phone', mechanism: 'HT-SHA-256-EXPR' });
    expect(tokenList.render({ clients })).to.match(/^[\w-]{16} {2}Verona, phone {2}since /);
    expect(JSON.stringify(clients)).not.to.contain(attributeIn(success, 'token', 'token'));

    const laptop = await tokenRevoke
      .run(command(), { jid: 'juliet@localhost', client: 'laptop' })
      .catch((reason: unknown) => reason);
    expect(laptop).to.be.instanceOf(CommandError).with.property('code', 'not-found');
    const outcome = await tokenRevoke.run(command(), { jid: 'juliet@localhost', client: clients[0]!.client });
    expect(tokenRevoke.render(outcome)).to.equal('juliet@localhost: 1 device revoked, 1 session ended');
    await phone.client.until(/<not-authorized /);
    const again = await dial();
    again.client.send(withToken(attributeIn(success, 'token', 'token'), 'HT-SHA-256-EXPR', again.exporter, BIND));
    expect(await again.client.until(/<failure .*<\/failure>/)).to.contain('<not-authorized ');
    expect(tokenList.render(await tokenList.run(command(), { jid: 'juliet@localhost' }))).to.equal(
      'no device holds a token',
    );
  });

  it('loses its tokens when its account is disabled, for good', async () => {
    const { success } = await firstLogin(await dial(), 'HT-SHA-256-EXPR');
    await userDisable.run(command(), { jid: 'juliet@localhost' });
    await userEnable.run(command(), { jid: 'juliet@localhost' });
    const again = await dial();
    again.client.send(withToken(attributeIn(success, 'token', 'token'), 'HT-SHA-256-EXPR', again.exporter, BIND));
    expect(await again.client.until(/<failure .*<\/failure>/)).to.contain('<not-authorized ');
  });
});

/** Channel binding data of RFC 5929 4 for a certificate signed with SHA-256, on a connection with a full handshake. */
function endPointOf({ socket }: Phone): Buffer {
  return createHash('sha256').update(socket.getPeerCertificate().raw).digest();
}

function namesIn(features: string): string[] {
  return [...features.matchAll(/<mechanism>([^<]+)<\/mechanism>/g)].map(([, name]) => name!);
}

function textIn(bytes: string, name: string): string {
  return new RegExp(`<${name}[^>]*>([^<]*)</${name}>`).exec(bytes)?.[1] ?? '';
}

function attributeIn(bytes: string, name: string, attribute: string): string {
  return new RegExp(`<${name} [^>]*\\b${attribute}='([^']*)'`).exec(bytes)?.[1] ?? '';
}
