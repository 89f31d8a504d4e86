import { X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';

import { fileNameOf } from '../../../certs/certificate-names.ts';
import {
  CertificateError,
  concernsOf,
  readCertificate,
  type Certificate,
  type CertificateEntry,
} from '../../streams/certificate-file.ts';
import { fine, found, type Check, type CheckContext, type Observation } from './check.ts';

/** Names, expiry, keys and chains of the certificates, and whether the running server shows them. */
export const certificates: Check = {
  name: 'certificates',
  examine: (context) => {
    const { tls } = context.config;
    if (tls.certificates.length === 0) return examineMade(context);
    return tls.certificates.flatMap(({ domains, certificate, key }) =>
      examineEntry({ domains, certificateFile: certificate, keyFile: key }, context, chainGap),
    );
  },
};

/** The certificates that Posthorn makes itself. */
function examineMade(context: CheckContext): Observation[] {
  const { domains, tls } = context.config;
  const directory = tls.certificatesDirectory;
  const filesOf = (name: string) => ({
    certificateFile: join(directory, `${name}.pem`),
    keyFile: join(directory, `${name}.key`),
  });
  const authority = { domains: [], ...filesOf('local_ca') };
  if (!existsSync(authority.certificateFile) && context.running === undefined) {
    return [fine(directory, 'a local authority and its certificates are made at the next start')];
  }
  const entries = domains.map((domain) => ({ domains: [domain], ...filesOf(fileNameOf(domain)) }));
  const observations = [authority, ...entries].flatMap((entry) => {
    const isMissing = !existsSync(entry.certificateFile) || !existsSync(entry.keyFile);
    if (!isMissing || context.running !== undefined) return examineEntry(entry, context);
    return [fine(entry.certificateFile, 'is made at the next start')];
  });
  const advice = 'have clients trust it, or configure certificates of a public authority in tls.certificates';
  return [...observations, found('note', authority.certificateFile, 'the authority is known to nobody else', advice)];
}

function examineEntry(
  entry: CertificateEntry,
  { nowMs, running }: CheckContext,
  more: (certificate: Certificate) => Observation[] = () => [],
): Observation[] {
  let certificate: Certificate;
  try {
    certificate = readCertificate(entry);
  } catch (error) {
    if (!(error instanceof CertificateError)) throw error;
    const [what = error.message, ...advice] = error.message.split(': ');
    return [found('error', entry.certificateFile, what, advice.join(': '))];
  }
  const observations = concernsOf(certificate, nowMs).map(({ file, problem, advice, isFatal }) =>
    found(isFatal ? 'error' : 'warning', file, problem, advice),
  );
  observations.push(...more(certificate));
  const shown = running?.certificates.find(({ certificateFile }) => certificateFile === entry.certificateFile);
  if (shown !== undefined && shown.notAfterMs !== certificate.notAfterMs) {
    const what = 'the running server shows another certificate than the file holds';
    observations.push(
      found('warning', entry.certificateFile, what, '"posthorn reload" reads it, or says why it cannot'),
    );
  }
  if (observations.length > 0) return observations;
  const names = entry.domains.length === 0 ? '' : ` for ${entry.domains.join(', ')}`;
  return [
    fine(
      entry.certificateFile,
      `is valid${names} until ${new Date(certificate.notAfterMs).toISOString().slice(0, 10)}`,
    ),
  ];
}

/** Whether a client that knows the public authorities can follow the file's certificates to one of them. */
function chainGap({ entry, chainPem }: Certificate): Observation[] {
  const [leaf, ...others] = (chainPem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []).map(
    (pem) => new X509Certificate(pem),
  );
  let last = leaf;
  for (let next = last; next !== undefined; next = others.find((other) => other !== last && last?.checkIssued(other))) {
    last = next;
    if (next.subject === next.issuer) return []; // an authority of one's own, with its root
  }
  if (last === undefined) return [];
  const { issuer } = last;
  if (rootCertificates.some((pem) => new X509Certificate(pem).subject === issuer)) return [];
  const what = `ends with a certificate issued by ${issuer.replaceAll('\n', ', ')}, which is no public authority`;
  const advice = 'put the intermediate certificates into the file ("fullchain.pem"); fine if clients trust that issuer';
  return [found('note', entry.certificateFile, what, advice)];
}
