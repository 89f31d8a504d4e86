import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';

import { ensureCertificates } from '../../certs/make-certs.ts';
import type { TlsContexts } from '../../server/streams/tls-context.ts';
import { silentLog } from './silent-log.ts';

/** Certificates of a local authority for real TLS connections in tests. */
export interface TestCertificates {
  readonly contexts: Pick<TlsContexts, 'contextFor' | 'sniCallback'>;
  /** The authority that a client has to trust, PEM. */
  readonly ca: string;
}

/** Makes an authority and a certificate for each domain; the first is shown to who names none of them. */
export async function makeTestCertificates(domains: readonly [string, ...string[]]): Promise<TestCertificates> {
  const directory = mkdtempSync(join(tmpdir(), 'posthorn-tls-'));
  try {
    const made = await ensureCertificates({ directory, domains, now: Date.now, log: silentLog });
    const contexts = new Map(
      made.certificates.map(({ domain, certificateFile, keyFile }) => [
        domain,
        createSecureContext({ cert: readFileSync(certificateFile), key: readFileSync(keyFile) }),
      ]),
    );
    const find = (name: string | false | null | undefined) => contexts.get(String(name));
    const first = find(domains[0]) ?? createSecureContext();
    return {
      contexts: {
        contextFor: (name, fallback) => find(name) ?? find(fallback) ?? first,
        sniCallback: (name, answer) => answer(null, find(name)),
      },
      ca: readFileSync(made.caFile, 'utf8'),
    };
  } finally {
    rmSync(directory, { recursive: true });
  }
}
