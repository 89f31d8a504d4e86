import { expect } from 'chai';

import { accountOf, columnsOf } from '../../../server/admin/account-columns.ts';
import { CommandError } from '../../../server/admin/exit-codes.ts';

const record = (...fields: string[]) => ({ line: 1, fields });

describe('server/admin/account-columns', () => {
  it('takes a file without header as jid, password, name', () => {
    const { columns, isHeader } = columnsOf(record('juliet@localhost', 'wherefore'));
    expect(isHeader).to.equal(false);
    const account = accountOf(record('juliet@localhost', 'wherefore', 'Juliet'), columns);
    expect(account).to.include({ jid: 'juliet@localhost', password: 'wherefore', disabled: false });
  });

  it('takes the columns of a header in any order', () => {
    const { columns, isHeader } = columnsOf(record('Disabled', 'keys', 'JID', 'created_at'));
    expect(isHeader).to.equal(true);
    expect(accountOf(record('true', 'one two', 'romeo', '1970-01-01T00:00:01Z'), columns)).to.deep.equal({
      ...{ line: 1, jid: 'romeo', password: '', keys: ['one', 'two'], disabled: true, createdAt: 1000 },
    });
  });

  for (const header of [['jid', 'passwort'], ['jid'], ['jid', 'password', 'password']]) {
    it(`refuses the header ${header.join()}`, () => {
      expect(() => columnsOf(record(...header))).to.throw(CommandError);
    });
  }

  for (const [reason, fields] of Object.entries({
    'has no password': ['romeo', ''],
    'has both a password and keys': ['romeo', 'wherefore', 'SCRAM'],
    'disabled must be true or false': ['romeo', 'wherefore', '', 'yes'],
    'has 5 fields, at most 4 are expected': ['romeo', 'wherefore', '', '', 'more'],
  })) {
    it(`refuses a line that ${reason}`, () => {
      const { columns } = columnsOf(record('jid', 'password', 'keys', 'disabled'));
      expect(() => accountOf(record(...fields), columns)).to.throw(RangeError, reason);
    });
  }

  it('lets an export hold an account that nobody can log in to', () => {
    const { columns } = columnsOf(record('jid', 'keys'));
    expect(accountOf(record('romeo', ''), columns).keys).to.deep.equal([]);
  });
});
