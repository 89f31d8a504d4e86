import { option, table } from '../option.ts';
import { choice, hostName, tablesOf, wholeNumber } from '../value-types.ts';
import { MIB, GIB } from '../sizes.ts';

export const messages = table('What becomes of messages.', {
  history: option(
    choice('on', 'off'),
    'on',
    'off: a message to somebody who is online is neither stored nor given a sequence number.',
  ),
  repeat_hours: option(
    wholeNumber(1, 8760),
    168,
    'How long a message is known that a client sends again because its acknowledgement was lost.',
    { unit: 'hours' },
  ),
});

export const archive = table(
  'The message archive of each account (XEP-0313); nothing is archived with messages.history off.',
  {
    default: option(
      choice('always', 'roster', 'never'),
      'always',
      'What is archived of who has not said otherwise (XEP-0441). roster: what is exchanged with contacts.',
    ),
    page_messages: option(
      wholeNumber(1, 1000),
      50,
      'Messages a client is sent at a time when it does not say how many.',
    ),
    max_page_messages: option(wholeNumber(1, 1000), 250, 'The most it may ask for.'),
    max_age_days: option(wholeNumber(0, 36_500), 0, 'Messages older than this are removed; 0: kept for ever.', {
      unit: 'days',
    }),
    max_bytes: option(
      wholeNumber(0, 1024 * GIB),
      0,
      'When an archive is greater than this, its oldest messages are removed; 0: no limit.',
      { unit: 'bytes' },
    ),
    sweep_minutes: option(wholeNumber(1, 10_080), 60, 'How often the limits are enforced.', { unit: 'minutes' }),
    max_preferences: option(wholeNumber(0, 100_000), 1000, 'Contacts in the preferences of one account.'),
    domains: option(
      tablesOf({ domain: hostName(), max_age_days: wholeNumber(0, 36_500), max_bytes: wholeNumber(0, 1024 * GIB) }),
      [],
      'Other limits for the accounts of a domain. "posthorn archive limit" sets those of one account.',
      {
        example: ['[[archive.domains]]', 'domain = "capulet.example"', 'max_age_days = 365', 'max_bytes = 0'].join(
          '\n',
        ),
      },
    ),
  },
);

export const offline = table('Messages that wait for somebody who is away (XEP-0160).', {
  max_messages: option(
    wholeNumber(0, 10_000_000),
    1000,
    'Messages kept for one account; when full, senders get service-unavailable.',
  ),
  max_bytes: option(wholeNumber(0, 64 * GIB), 16 * MIB, 'The same in bytes.', { unit: 'bytes' }),
});
