import { option, table } from '../option.ts';
import { wholeNumber } from '../value-types.ts';
import { KIB, MIB, GIB } from '../sizes.ts';

export const roster = table('Contact lists.', {
  max_items: option(wholeNumber(1, 100_000), 1000, 'Contacts of one account.'),
  max_groups_per_item: option(wholeNumber(0, 1000), 32, 'Groups one contact may be in.'),
  max_name_bytes: option(wholeNumber(16, 8192), 1023, 'The longest name of a contact or group.', { unit: 'bytes' }),
});

export const limits = table('What one account or session may occupy.', {
  max_queue_stanzas: option(
    wholeNumber(10, 1_000_000),
    2000,
    'Stanzas that wait for a client to read or acknowledge them; one that falls further behind is disconnected.',
  ),
  max_queue_bytes: option(wholeNumber(64 * KIB, GIB), 8 * MIB, 'The same in bytes.', { unit: 'bytes' }),
  max_unprocessed_stanzas: option(
    wholeNumber(1, 100_000),
    256,
    'Stanzas of one session in work; reading from it pauses above.',
  ),
  max_directed_presences: option(
    wholeNumber(10, 100_000),
    1000,
    'Addresses to which one session may have sent directed presence (RFC 6121 4.6).',
  ),
  max_private_xml_bytes: option(wholeNumber(0, GIB), MIB, 'Private XML of one account (XEP-0049).', {
    unit: 'bytes',
  }),
});
