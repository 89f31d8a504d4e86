import { option, table } from '../option.ts';
import { certificateName, choice, cipherList, listOf, path, tablesOf, wholeNumber } from '../value-types.ts';

export const tls = table('Certificates and the TLS of every listener.', {
  min_version: option(choice('1.2', '1.3'), '1.2', 'The oldest version of TLS a client may speak.'),
  ciphers: option(
    cipherList(),
    [
      ...['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256'],
      ...['ECDHE-ECDSA-AES128-GCM-SHA256', 'ECDHE-RSA-AES128-GCM-SHA256'],
      ...['ECDHE-ECDSA-AES256-GCM-SHA384', 'ECDHE-RSA-AES256-GCM-SHA384'],
      ...['ECDHE-ECDSA-CHACHA20-POLY1305', 'ECDHE-RSA-CHACHA20-POLY1305'],
    ].join(':'),
    // Deviation: RFC 6120 13.8 makes TLS_RSA_WITH_AES_128_CBC_SHA mandatory; RFC 7590 3 (by way of RFC 7525, now
    // 9325) advises against it. It is there for an operator who adds AES128-SHA here.
    'The cipher suites, best first. TLS 1.3 suites have names with underscores; without one, TLS 1.3 is off.',
  ),
  max_handshakes: option(
    wholeNumber(1, 10_000),
    32,
    'TLS handshakes at the same time; further connections wait, so that a crowd logging in does not stall the others.',
  ),
  certificates_directory: option(
    path('a folder'),
    'certificates',
    'Where a local certificate authority and its certificates are made when none is configured.',
    { relativeTo: 'data directory' },
  ),
  certificates: option(
    tablesOf({
      domains: listOf(certificateName(), 'host names', 1),
      certificate: path('a PEM file with the certificate, then its intermediates'),
      key: path('a PEM file with the private key'),
    }),
    [],
    'Certificates of your own, each for the domains it names; chosen by SNI, read again on SIGHUP and when a file ' +
      'changes. With one configured, every domain needs one.',
    {
      relativeTo: 'configuration',
      example: [
        '[[tls.certificates]]',
        'domains = ["capulet.example", "*.capulet.example"]',
        'certificate = "/etc/letsencrypt/live/capulet.example/fullchain.pem"',
        'key = "/etc/letsencrypt/live/capulet.example/privkey.pem"',
      ].join('\n'),
    },
  ),
});
