import { expect } from 'chai';
import { formFields, formType, resultForm } from '../../stanzas/data-form.ts';
import { elementOf } from '../support/module-harness.ts';

describe('stanzas/data-form', () => {
  it('writes a result form with its FORM_TYPE first, hidden', () => {
    const form = resultForm('urn:example:play', [
      { name: 'lovers', type: 'list-multi', values: ['Juliet', 'Romeo & co'] },
      { name: 'town', values: ['Verona'] },
    ]);
    expect(form.toBytes()).to.equal(
      `<x xmlns='jabber:x:data' type='result'>` +
        `<field var='FORM_TYPE' type='hidden'><value>urn:example:play</value></field>` +
        `<field var='lovers' type='list-multi'><value>Juliet</value><value>Romeo &amp; co</value></field>` +
        `<field var='town'><value>Verona</value></field></x>`,
    );
  });

  it('reads fields, the first of a name, and ignores what has no name or another namespace', () => {
    const form = elementOf(
      `<x xmlns='jabber:x:data' type='submit'><title>t</title><field var='a'><value>1</value><value>2</value></field>` +
        `<field var='a'><value>3</value></field><field type='fixed'><value>4</value></field><field var='b'/>` +
        `<field xmlns='urn:other' var='c'><value>5</value></field></x>`,
    );
    expect([...formFields(form)]).to.deep.equal([
      ['a', ['1', '2']],
      ['b', []],
    ]);
  });

  it('takes a FORM_TYPE only from a hidden field', () => {
    const form = (type: string) =>
      elementOf(`<x xmlns='jabber:x:data'><field var='FORM_TYPE'${type}><value>urn:example:play</value></field></x>`);
    expect(formType(form(` type='hidden'`))).to.equal('urn:example:play');
    expect(formType(form(` type='text-single'`))).to.equal(undefined);
    expect(formType(form(''))).to.equal(undefined);
    expect(formType(elementOf(`<x xmlns='jabber:x:data'/>`))).to.equal(undefined);
  });
});
