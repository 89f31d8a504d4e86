import { option, table } from '../option.ts';
import { choice, listOf, wholeNumber } from '../value-types.ts';

export const sasl = table('Logging in.', {
  mechanisms: option(
    listOf(
      choice(
        ...(['SCRAM-SHA-512-PLUS', 'SCRAM-SHA-256-PLUS', 'SCRAM-SHA-1-PLUS'] as const),
        ...(['SCRAM-SHA-512', 'SCRAM-SHA-256', 'SCRAM-SHA-1', 'PLAIN'] as const),
      ),
      'of the mechanisms in the default',
      1,
    ),
    [
      ...(['SCRAM-SHA-512-PLUS', 'SCRAM-SHA-256-PLUS', 'SCRAM-SHA-1-PLUS'] as const),
      ...(['SCRAM-SHA-512', 'SCRAM-SHA-256', 'SCRAM-SHA-1', 'PLAIN'] as const),
    ],
    'The mechanisms that may be offered; each only where the connection is fit for it. Some clients know only ' +
      'SCRAM-SHA-1 and PLAIN.',
  ),
  scram_iterations: option(
    wholeNumber(4096, 10_000_000),
    10_000,
    'PBKDF2 rounds for new passwords: what a thief of the store, and every phone that logs in, has to compute.',
  ),
  max_retries: option(
    wholeNumber(2, 5),
    3,
    'Failed logins on one stream that may be followed by another try (RFC 6120 6.4.5).',
  ),
  password_work_running: option(
    wholeNumber(1, 64),
    2,
    'Passwords checked at the same time. They share four threads with the disk (UV_THREADPOOL_SIZE).',
  ),
  password_work_waiting: option(
    wholeNumber(0, 100_000),
    256,
    'Passwords that wait for their check; further logins get temporary-auth-failure.',
  ),
  token_days: option(
    wholeNumber(0, 3650),
    21,
    'How long a device that logs in with a token (XEP-0484) may stay away before it needs its password; 0: no tokens.',
    { unit: 'days' },
  ),
  token_rotation_hours: option(wholeNumber(1, 87_600), 24, 'A token older than this is replaced when it is used.', {
    unit: 'hours',
  }),
  max_token_clients: option(
    wholeNumber(1, 1000),
    40,
    'Devices of one account that may hold tokens; one more takes the place of the one seen longest ago.',
  ),
  free_failures: option(
    wholeNumber(0, 100),
    2,
    'Failed logins from one address to one account that cost nothing; each further one doubles the delay.',
  ),
  free_failures_per_address: option(wholeNumber(0, 10_000), 10, 'The same from one address to any accounts.'),
  free_failures_per_account: option(
    wholeNumber(0, 10_000),
    10,
    'The same to one account from any addresses; only answers to failures are delayed then, never a correct login.',
  ),
  max_failure_delay_seconds: option(wholeNumber(0, 300), 8, 'The longest delay.', { unit: 'seconds' }),
  forget_failures_seconds: option(
    wholeNumber(1, 86_400),
    900,
    'Failures are forgotten when none has followed for this long.',
    { unit: 'seconds' },
  ),
});
