import { expect } from 'chai';
import { decodeResponse, DNS_TYPES, encodeName, encodeQuestion } from '../../../server/federation/dns-message.ts';

/** A response to "SRV _xmpp-server._tcp.capulet.example" whose names point at each other (RFC 1035 4.1.4). */
const RESPONSE = Buffer.from(
  [
    '1234 8180 0001 0001 0000 0000', // id, flags, one question, one answer
    '0c5f786d70702d736572766572 045f746370 0763617075 6c6574 076578616d706c65 00 0021 0001', // the question
    'c00c 0021 0001 0000012c 000c', // its name again, SRV, 300 seconds, twelve bytes
    '000a 0005 1495', // 10, 5, 5269
    '03 6d6f6e c01e', // mon.capulet.example
  ].join(''),
  'utf8',
);
const bytes = (hexadecimal: Buffer): Buffer => Buffer.from(hexadecimal.toString().replaceAll(' ', ''), 'hex');

describe('messages of DNS (RFC 1035 4)', () => {
  it('are asked in the form of RFC 1035 4.1 with EDNS(0)', () => {
    expect(encodeQuestion(0x1234, 'capulet.example', DNS_TYPES.A).toString('hex')).to.equal(
      '123401000001000000000001' + '07636170756c6574076578616d706c6500' + '00010001' + '0000290' + '4d0000000000000',
    );
  });

  it('are read with their pointers', () => {
    const response = decodeResponse(bytes(RESPONSE));
    expect(response).to.deep.equal({
      id: 0x1234,
      isTruncated: false,
      responseCode: 0,
      questions: [{ name: '_xmpp-server._tcp.capulet.example', type: DNS_TYPES.SRV }],
      answers: [
        {
          name: '_xmpp-server._tcp.capulet.example',
          ttlSeconds: 300,
          type: 'SRV',
          priority: 10,
          weight: 5,
          port: 5269,
          target: 'mon.capulet.example',
        },
      ],
      authorities: [],
    });
  });

  it('are not read where they are cut anywhere, or are no responses', () => {
    const whole = bytes(RESPONSE);
    for (let length = 0; length < whole.length; length++) {
      expect(decodeResponse(whole.subarray(0, length)), String(length)).to.equal(undefined);
    }
    const question = Buffer.from(whole);
    question[2] = 0x01;
    expect(decodeResponse(question)).to.equal(undefined);
  });

  it('do not lead in circles', () => {
    const circle = bytes(RESPONSE);
    circle.writeUInt16BE(0xc000 | (circle.length - 2), circle.length - 2);
    expect(decodeResponse(circle)).to.equal(undefined);
  });

  it('survive every change of one byte', () => {
    const whole = bytes(RESPONSE);
    for (let at = 0; at < whole.length; at++) {
      for (const value of [0, 1, 0x3f, 0x40, 0xc0, 0xff]) {
        const changed = Buffer.from(whole);
        changed[at] = value;
        expect(() => decodeResponse(changed)).not.to.throw();
      }
    }
  });

  it('hold names of DNS only', () => {
    expect(() => encodeName('a..example')).to.throw(RangeError);
    expect(() => encodeName(`${'a'.repeat(64)}.example`)).to.throw(RangeError);
    expect(() => encodeName(Array.from({ length: 130 }, () => 'a').join('.'))).to.throw(RangeError);
  });
});
