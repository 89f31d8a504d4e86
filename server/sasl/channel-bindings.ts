import { createHash } from 'node:crypto';
import type { TLSSocket } from 'node:tls';

import { signatureDigest } from './certificate-signature.ts';
import type { SecurityLayer } from './mechanisms.ts';

/** RFC 9266 2: the label, a context of length zero, 32 bytes. */
const EXPORTER_LABEL = 'EXPORTER-Channel-Binding';
const EXPORTER_BYTES = 32;

/** The security layer of a server's TLS connection whose handshake is complete. */
export function securityOf(socket: TLSSocket): SecurityLayer {
  const tlsVersion = socket.getProtocol() ?? undefined;
  return {
    encrypted: true,
    tlsVersion,
    // RFC 9266 3: below TLS 1.3 only with the extended master secret (RFC 7627), and Node does not tell whether it is
    tlsExporter:
      tlsVersion === 'TLSv1.3'
        ? socket.exportKeyingMaterial(EXPORTER_BYTES, EXPORTER_LABEL, Buffer.alloc(0))
        : undefined,
    tlsServerEndPoint: serverEndPoint(ownCertificate(socket)),
    // RFC 5929 3.1: the first Finished, the client's in a full handshake. Interop: slixmpp binds to it under TLS 1.3 too
    // and, once it has it, logs in without binding only where no -PLUS mechanism is offered.
    tlsUnique: socket.isSessionReused() ? undefined : socket.getPeerFinished(),
  };
}

/** The DER of the certificate that this connection was answered with; getX509Certificate would take ten times as long. */
function ownCertificate(socket: TLSSocket): Buffer | undefined {
  const certificate = socket.getCertificate();
  return certificate !== null && 'raw' in certificate ? certificate.raw : undefined;
}

/**
 * The tls-server-end-point binding (RFC 5929 4.1): the hash of the server's certificate, by the hash of its signature.
 * @param certificate DER
 * @returns undefined where the RFC defines none, as for Ed25519
 */
export function serverEndPoint(certificate: Buffer | undefined): Buffer | undefined {
  const digest = certificate === undefined ? undefined : signatureDigest(certificate);
  return certificate === undefined || digest === undefined
    ? undefined
    : createHash(digest).update(certificate).digest();
}
