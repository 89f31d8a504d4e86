import { expect } from 'chai';
import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';

import { SaslError } from '../../../server/sasl/sasl-error.ts';
import { deriveKeys } from '../../../server/sasl/scram-keys.ts';
import { ScramExchange, type ScramOptions } from '../../../server/sasl/scram.ts';
import type { ScramHash, ScramKeys } from '../../../storage/accounts.ts';

const END_POINT = Buffer.from('the certificate of capulet.lit');
const EXPORTER = Buffer.from('the keying material of this connection');

const UNBOUND = { bindings: new Map<string, Buffer>(), bindsChannels: false };
const BOUND = {
  bindings: new Map([
    ['tls-exporter', EXPORTER],
    ['tls-server-end-point', END_POINT],
  ]),
  bindsChannels: true,
};

interface Vector {
  readonly hash: ScramHash;
  readonly salt: string;
  readonly password: string;
  readonly nonce: string;
  readonly plus?: boolean;
  readonly offer?: ScramOptions['offer'];
  readonly downgradeHash?: string;
}

async function begin(vector: Vector): Promise<{ exchange: ScramExchange; keys: ScramKeys }> {
  const { hash, salt, password, nonce, plus = false, offer = UNBOUND, downgradeHash } = vector;
  const keys = await deriveKeys(password, hash, Buffer.from(salt, 'base64'), 4096);
  return { exchange: new ScramExchange({ hash, plus, offer, nonce, downgradeHash }), keys };
}

function conditionOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof SaslError) return error.condition;
    throw error;
  }
  return 'none';
}

describe('ScramExchange', () => {
  it('RFC 5802 5: the example of SCRAM-SHA-1', async () => {
    const { exchange, keys } = await begin({
      hash: 'SHA-1',
      salt: 'QSXCR+Q6sek8bf92',
      password: 'pencil',
      nonce: '3rfcNHYJY1ZVvWVs7j',
    });
    expect(exchange.start(Buffer.from('n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL'))).to.deep.equal({
      username: 'user',
      authzid: undefined,
    });
    expect(exchange.challenge(keys)).to.equal('r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096');
    expect(
      exchange.judge(Buffer.from('c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=')),
    ).to.equal('v=rmF9pqV8S7suAoZWja4dJRkFsKQ=');
  });

  it('RFC 7677 3: the example of SCRAM-SHA-256', async () => {
    const { exchange, keys } = await begin({
      hash: 'SHA-256',
      salt: 'W22ZaJ0SNY7soEsUEjb6gQ==',
      password: 'pencil',
      nonce: '%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0',
    });
    exchange.start(Buffer.from('n,,n=user,r=rOprNGfwEbeRWgbNEkqO'));
    expect(exchange.challenge(keys)).to.equal(
      'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096',
    );
    expect(
      exchange.judge(
        Buffer.from(
          'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,' +
            'p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=',
        ),
      ),
    ).to.equal('v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=');
  });

  it('SCRAM-SHA-512: agrees with the equations of RFC 5802 3', async () => {
    const { exchange, keys } = await begin({
      hash: 'SHA-512',
      salt: 'W22ZaJ0SNY7soEsUEjb6gQ==',
      password: 'wherefore art thou',
      nonce: 'server',
    });
    const sign = (key: Buffer, text: string): Buffer => createHmac('sha512', key).update(text).digest();
    const authMessage = 'n=romeo,r=client,r=clientserver,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=clientserver';
    const salted = pbkdf2Sync(
      'wherefore art thou',
      Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64'),
      4096,
      64,
      'sha512',
    );
    const clientKey = sign(salted, 'Client Key');
    const signature = sign(createHash('sha512').update(clientKey).digest(), authMessage);
    const proof = Buffer.from(clientKey.map((byte, index) => byte ^ signature[index]!)).toString('base64');
    exchange.start(Buffer.from('n,,n=romeo,r=client'));
    exchange.challenge(keys);
    expect(exchange.judge(Buffer.from(`c=biws,r=clientserver,p=${proof}`))).to.equal(
      `v=${sign(sign(salted, 'Server Key'), authMessage).toString('base64')}`,
    );
  });

  const XEP_0474: Vector = {
    hash: 'SHA-1',
    salt: 'QSXCR+Q6sek8bf92',
    password: 'pencil',
    nonce: 'a09117a6-ac50-4f2f-93f1-93799c2bddf6',
    plus: true,
    offer: { bindings: new Map([['tls-exporter', Buffer.from('THIS IS FAKE CB DATA')]]), bindsChannels: true },
    downgradeHash: 'G6k/rBLDqgOhRRaCuuatSDFkJ08=',
  };
  const XEP_0474_FIRST = 'p=tls-exporter,,n=user,r=12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6';
  const XEP_0474_NONCE = '12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6a09117a6-ac50-4f2f-93f1-93799c2bddf6';

  it('XEP-0474, "Full Example": SCRAM-SHA-1-PLUS with h= from us and an extension from the client', async () => {
    const { exchange, keys } = await begin(XEP_0474);
    exchange.start(Buffer.from(XEP_0474_FIRST));
    expect(exchange.challenge(keys)).to.equal(
      `r=${XEP_0474_NONCE},s=QSXCR+Q6sek8bf92,i=4096,h=G6k/rBLDqgOhRRaCuuatSDFkJ08=`,
    );
    expect(
      exchange.judge(
        Buffer.from(
          `c=cD10bHMtZXhwb3J0ZXIsLFRISVMgSVMgRkFLRSBDQiBEQVRB,r=${XEP_0474_NONCE},` +
            'x=19C6532F-1CF4-4A27-A18D-DC9CEA41BBB3,p=M/SIDjT+dfcxUh89jZEypRvFxB4=',
        ),
      ),
    ).to.equal('v=MQrMPvv7yv4x4Cq4W4Ih25EqS2c=');
  });

  it('XEP-0474: a proof over an h= that somebody changed is wrong', async () => {
    const { exchange, keys } = await begin({ ...XEP_0474, downgradeHash: 'AAAArBLDqgOhRRaCuuatSDFkJ08=' });
    exchange.start(Buffer.from(XEP_0474_FIRST));
    exchange.challenge(keys);
    expect(
      exchange.judge(
        Buffer.from(
          `c=cD10bHMtZXhwb3J0ZXIsLFRISVMgSVMgRkFLRSBDQiBEQVRB,r=${XEP_0474_NONCE},` +
            'x=19C6532F-1CF4-4A27-A18D-DC9CEA41BBB3,p=M/SIDjT+dfcxUh89jZEypRvFxB4=',
        ),
      ),
    ).to.equal(undefined);
  });

  describe('channel binding (RFC 5802 6)', () => {
    const table: readonly [string, string, boolean, ScramOptions['offer'], string][] = [
      ['n where -PLUS is offered: the client cannot', 'n,,', false, BOUND, 'none'],
      ['n where it is not', 'n,,', false, UNBOUND, 'none'],
      ['y where it is not: the client could, we cannot', 'y,,', false, UNBOUND, 'none'],
      ['y where -PLUS is offered: a downgrade', 'y,,', false, BOUND, 'not-authorized'],
      ['y with -PLUS', 'y,,', true, BOUND, 'malformed-request'],
      ['n with -PLUS', 'n,,', true, BOUND, 'malformed-request'],
      ['p=tls-exporter with -PLUS', 'p=tls-exporter,,', true, BOUND, 'none'],
      ['p=tls-server-end-point with -PLUS', 'p=tls-server-end-point,,', true, BOUND, 'none'],
      ['p without -PLUS', 'p=tls-exporter,,', false, BOUND, 'malformed-request'],
      ['p of an unknown type', 'p=tls-unique,,', true, BOUND, 'malformed-request'],
    ];
    for (const [title, header, plus, offer, condition] of table) {
      it(title, () => {
        const exchange = new ScramExchange({ hash: 'SHA-1', plus, offer, nonce: 'x', downgradeHash: undefined });
        expect(conditionOf(() => exchange.start(Buffer.from(`${header}n=juliet,r=abc`)))).to.equal(condition);
      });
    }
  });

  describe('client-first-message', () => {
    const start = (message: string | Buffer): unknown =>
      new ScramExchange({
        hash: 'SHA-1',
        plus: false,
        offer: UNBOUND,
        nonce: 'x',
        downgradeHash: undefined,
      }).start(Buffer.from(message as string));

    it('unescapes saslnames', () => {
      expect(start('n,a=ju=3Dliet=2C,n=a=2Cb=3dc,r=abc')).to.deep.equal({ authzid: 'ju=liet,', username: 'a,b=c' });
    });

    it('ignores unknown extensions (RFC 5802 5.1)', () => {
      expect(conditionOf(() => start('n,,n=juliet,r=abc,x=1,y=a=b'))).to.equal('none');
    });

    for (const message of [
      '',
      'n',
      'n,',
      'n,,',
      'n,,n=juliet',
      'n,,r=abc,n=juliet', // the order is fixed
      'n,n=juliet,r=abc', // the gs2-header lacks its second comma
      'z,,n=juliet,r=abc',
      'N,,n=juliet,r=abc',
      'p=,,n=juliet,r=abc',
      'p=tls exporter,,n=juliet,r=abc',
      'n,juliet,n=juliet,r=abc',
      'n,a=,n=juliet,r=abc',
      'n,,n=,r=abc',
      'n,,n=jul=iet,r=abc',
      'n,,n=juliet=,r=abc',
      'n,,n=juliet=2,r=abc',
      'n,,n=jul\0iet,r=abc',
      'n,,n=juliet,r=',
      'n,,n=juliet,r=a b',
      'n,,n=juliet,r=caf\u00e9',
      `n,,n=juliet,r=${'a'.repeat(513)}`,
      'n,,m=mandatory,n=juliet,r=abc',
      'n,,n=juliet,r=abc,m=mandatory',
      'n,,n=juliet,r=abc,n=romeo',
      'n,,n=juliet,r=abc,',
      'n,,n=juliet,r=abc,x',
      'n,,n=juliet,r=abc,x=',
      'n,,n=juliet,r=abc,1=x',
    ]) {
      it(`refuses ${JSON.stringify(message.slice(0, 40))}`, () => {
        expect(conditionOf(() => start(message))).to.equal('malformed-request');
      });
    }

    it('refuses what is not UTF-8', () => {
      const message = Buffer.concat([Buffer.from('n,,n='), Buffer.from([0xc3, 0x28]), Buffer.from(',r=abc')]);
      expect(conditionOf(() => start(message))).to.equal('malformed-request');
    });
  });

  describe('client-final-message of the example in RFC 5802 5, tampered with', () => {
    const NONCE = 'fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j';
    const PROOF = 'v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=';
    const WRONG = 'wrong';

    async function judge(message: string): Promise<string> {
      const { exchange, keys } = await begin({
        hash: 'SHA-1',
        salt: 'QSXCR+Q6sek8bf92',
        password: 'pencil',
        nonce: '3rfcNHYJY1ZVvWVs7j',
      });
      exchange.start(Buffer.from('n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL'));
      exchange.challenge(keys);
      let result: string | undefined;
      const condition = conditionOf(() => (result = exchange.judge(Buffer.from(message))));
      return condition === 'none' ? (result ?? WRONG) : condition;
    }

    it('another nonce, signed with the right password: a replay', async () => {
      const { exchange, keys } = await begin({
        hash: 'SHA-1',
        salt: 'QSXCR+Q6sek8bf92',
        password: 'pencil',
        nonce: '3rfcNHYJY1ZVvWVs7j',
      });
      exchange.start(Buffer.from('n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL'));
      const serverFirst = exchange.challenge(keys);
      const sign = (key: Buffer, text: string): Buffer => createHmac('sha1', key).update(text).digest();
      const final = (nonce: string): Buffer => {
        const authMessage = `n=user,r=fyko+d2lbbFgONRv9qkxdawL,${serverFirst},c=biws,r=${nonce}`;
        const clientKey = sign(pbkdf2Sync('pencil', keys.salt, 4096, 20, 'sha1'), 'Client Key');
        const signature = sign(createHash('sha1').update(clientKey).digest(), authMessage);
        const proof = Buffer.from(clientKey.map((byte, index) => byte ^ signature[index]!));
        return Buffer.from(`c=biws,r=${nonce},p=${proof.toString('base64')}`);
      };
      expect(exchange.judge(final('fyko+d2lbbFgONRv9qkxdawLanother'))).to.equal(undefined);
      expect(exchange.judge(final('fyko+d2lbbFgONRv9qkxdawL'))).to.equal(undefined);
      expect(exchange.judge(final(NONCE))).to.equal('v=rmF9pqV8S7suAoZWja4dJRkFsKQ=');
    });

    const table: readonly [string, string, string][] = [
      ['another proof', `c=biws,r=${NONCE},p=w0X8v3Bz2T0CJGbJQyF0X+HI4Ts=`, WRONG],
      ['another nonce', `c=biws,r=${NONCE}x,p=${PROOF}`, WRONG],
      ["only the client's nonce", `c=biws,r=fyko+d2lbbFgONRv9qkxdawL,p=${PROOF}`, WRONG],
      ['y instead of n in c', `c=eSws,r=${NONCE},p=${PROOF}`, WRONG],
      ['an extension that was not signed', `c=biws,r=${NONCE},x=1,p=${PROOF}`, WRONG],
      ['a mandatory extension', `c=biws,r=${NONCE},m=1,p=${PROOF}`, 'malformed-request'],
      ['a second proof', `c=biws,r=${NONCE},p=${PROOF},p=${PROOF}`, 'malformed-request'],
      ['a short proof', `c=biws,r=${NONCE},p=v0X8v3Bz`, 'malformed-request'],
      ['no proof', `c=biws,r=${NONCE}`, 'malformed-request'],
      ['an empty proof', `c=biws,r=${NONCE},p=`, 'malformed-request'],
      ['a proof that is not base 64', `c=biws,r=${NONCE},p=v0X8v3Bz2T0CJGbJQyF0X+HI4T*=`, 'malformed-request'],
      ['padding bits in the proof', `c=biws,r=${NONCE},p=v0X8v3Bz2T0CJGbJQyF0X+HI4Tt=`, 'malformed-request'],
      ['no channel binding', `r=${NONCE},p=${PROOF}`, 'malformed-request'],
      ['another order', `r=${NONCE},c=biws,p=${PROOF}`, 'malformed-request'],
      ['something behind the proof', `c=biws,r=${NONCE},p=${PROOF},x=1`, 'malformed-request'],
      ['nothing', '', 'malformed-request'],
    ];
    for (const [title, message, outcome] of table) {
      it(title, async () => {
        expect(await judge(message)).to.equal(outcome);
      });
    }
  });
});
