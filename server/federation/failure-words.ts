/**
 * What OpenSSL's codes for certificates mean to an operator; others stand for themselves. Those who write them in a log line
 * say whose certificate it is.
 */
const CERTIFICATE_PROBLEMS: ReadonlyMap<string, string> = new Map([
  ['CERT_HAS_EXPIRED', 'it has expired: its operator must renew it'],
  ['CERT_NOT_YET_VALID', 'it is not valid yet: see whether both clocks are right'],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'it is signed by nobody but itself'],
  ['SELF_SIGNED_CERT_IN_CHAIN', 'its authority is not trusted here: s2s.authorities can name it'],
  ['UNABLE_TO_GET_ISSUER_CERT', 'its issuer is not known here: s2s.authorities can name it'],
  [
    'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
    'its issuer is not known here: its operator may have left out the intermediate certificates, or s2s.authorities can name a private authority',
  ],
  [
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    'nothing leads from it to a trusted authority: its operator has left out the intermediate certificates, or s2s.authorities can name a private authority',
  ],
  ['CERT_REVOKED', 'it has been revoked: its operator must get another'],
  ['INVALID_PURPOSE', 'its authority made it for another purpose than this'],
]);

/** Why a certificate is not valid, in words. @param problem as OpenSSL calls it */
export function certificateProblem(problem: string): string {
  const words = CERTIFICATE_PROBLEMS.get(problem);
  return words === undefined ? problem : `${words} (${problem})`;
}

const CONNECTION_PROBLEMS: ReadonlyMap<string, string> = new Map([
  ['ECONNREFUSED', 'nothing listens there'],
  ['ETIMEDOUT', 'nothing answers there: a firewall may swallow it'],
  ['EHOSTUNREACH', 'no way leads there'],
  ['ENETUNREACH', 'this machine has no way to that network'],
  ['ECONNRESET', 'it was cut'],
]);

/** Why a TCP connection was not made or broke, in words. */
export function connectionProblem(error: Error): string {
  const code = 'code' in error ? String(error.code) : undefined;
  if (code === undefined) return error.message;
  const words = CONNECTION_PROBLEMS.get(code);
  return words === undefined ? code : `${words} (${code})`;
}
