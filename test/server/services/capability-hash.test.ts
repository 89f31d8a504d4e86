import { createHash } from 'node:crypto';
import { expect } from 'chai';
import { verificationString } from '../../../server/services/capability-hash.ts';
import { elementOf } from '../../support/module-harness.ts';

const INFO = `xmlns='http://jabber.org/protocol/disco#info'`;
const DISCO = 'http://jabber.org/protocol/';
/** The features of both examples, out of order. */
const FEATURES = ['muc', 'disco#items', 'caps', 'disco#info']
  .map((name) => `<feature var='${DISCO}${name}'/>`)
  .join('');

/** The form of 5.3 with its fields and values out of order. */
function softwareInfo(type = `type='hidden'`): string {
  return `<x xmlns='jabber:x:data' type='result'>
    <field var='software_version'><value>0.11</value></field>
    <field var='os'><value>Mac</value></field>
    <field var='FORM_TYPE' ${type}><value>urn:xmpp:dataforms:softwareinfo</value></field>
    <field var='os_version'><value>10.5.1</value></field>
    <field var='ip_version' type='text-multi'><value>ipv6</value><value>ipv4</value></field>
    <field var='software'><value>Psi</value></field></x>`;
}
const PSI = `<identity xml:lang='en' category='client' name='Psi 0.11' type='pc'/>
  <identity xml:lang='el' category='client' name='Ψ 0.11' type='pc'/>`;

describe('server/services/capability-hash', () => {
  it('XEP-0115 5.2: simple generation example', () => {
    const info = elementOf(
      `<query ${INFO}><identity category='client' type='pc' name='Exodus 0.9.1'/>${FEATURES}</query>`,
    );
    expect(verificationString(info)).to.equal('QgayPKawpkPSDYmwT/WM94uAlu0=');
  });

  it('XEP-0115 5.3: complex generation example, in any order', () => {
    const info = elementOf(`<query ${INFO}>${softwareInfo()}${FEATURES}${PSI}</query>`);
    expect(verificationString(info)).to.equal('q07IKJEyjvHSyhy//CH0CxmKi8w=');
  });

  it('XEP-0115 5.4 rule 3.6: ignores a form whose FORM_TYPE is not hidden', () => {
    const without = verificationString(elementOf(`<query ${INFO}>${PSI}${FEATURES}</query>`));
    const ignored = elementOf(`<query ${INFO}>${PSI}${FEATURES}${softwareInfo('')}</query>`);
    expect(verificationString(ignored)).to.equal(without);
    const counted = elementOf(`<query ${INFO}>${PSI}${FEATURES}${softwareInfo()}</query>`);
    expect(verificationString(counted)).not.to.equal(without);
  });

  it('XEP-0115 5.1: sorts by octets, where UTF-16 would put U+1F3AD before U+FF21', () => {
    const info = elementOf(`<query ${INFO}><feature var='\u{1f3ad}'/><feature var='\uff21'/></query>`);
    const sha1 = createHash('sha1').update('\uff21<\u{1f3ad}<', 'utf8').digest('base64');
    expect(verificationString(info)).to.equal(sha1);
  });
});
