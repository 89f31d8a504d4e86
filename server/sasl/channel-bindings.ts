import { createHash } from 'node:crypto';
import type { TLSSocket } from 'node:tls';

import { signatureDigest } from './certificate-signature.ts';
import type { BindingType, SecurityLayer } from './mechanisms.ts';
import type { PeerCertificate } from './peer-certificate.ts';

/** RFC 9266 2: the label, a context of length zero, 32 bytes. */
const EXPORTER_LABEL = 'EXPORTER-Channel-Binding';
const EXPORTER_BYTES = 32;

/**
 * The security layer of a TLS connection whose handshake is complete. What a client may bind to is announced to every one, and
 * asked for by few: it takes OpenSSL and Node.js 80 µs to put together, so that is done when it is asked for.
 */
class TlsLayer implements SecurityLayer {
  readonly encrypted = true;
  readonly tlsVersion: string | undefined;
  readonly bindingTypes: readonly BindingType[];
  readonly peer: PeerCertificate | undefined;
  readonly #socket: TLSSocket;
  readonly #endPoint: Buffer | undefined;
  #exporter: Buffer | undefined;
  #unique: Buffer | undefined;

  constructor(socket: TLSSocket, endPoint: Buffer | undefined, peer: PeerCertificate | undefined) {
    this.#socket = socket;
    this.#endPoint = endPoint;
    this.tlsVersion = socket.getProtocol() ?? undefined;
    this.peer = peer;
    const types: BindingType[] = [];
    // RFC 9266 3: below TLS 1.3 only with the extended master secret (RFC 7627), and Node does not tell whether it is
    if (this.tlsVersion === 'TLSv1.3') types.push('tls-exporter');
    if (endPoint !== undefined) types.push('tls-server-end-point');
    // RFC 5929 3.1: the first Finished, the client's in a full handshake. Interop: slixmpp binds to it under TLS 1.3 too
    // and, once it has it, logs in without binding only where no -PLUS mechanism is offered.
    if (!socket.isSessionReused()) types.push('tls-unique');
    this.bindingTypes = types;
  }

  get tlsExporter(): Buffer | undefined {
    if (this.#lacks('tls-exporter')) return undefined;
    return (this.#exporter ??= this.#socket.exportKeyingMaterial(EXPORTER_BYTES, EXPORTER_LABEL, Buffer.alloc(0)));
  }

  get tlsServerEndPoint(): Buffer | undefined {
    return this.#endPoint;
  }

  get tlsUnique(): Buffer | undefined {
    if (this.#lacks('tls-unique')) return undefined;
    return (this.#unique ??= this.#socket.getPeerFinished());
  }

  /** OpenSSL's part is gone with the socket; then there is nobody to bind to anything either. */
  #lacks(type: BindingType): boolean {
    return this.#socket.destroyed || !this.bindingTypes.includes(type);
  }
}

/** The certificate that a connection was answered with, where that is known, by its tls-server-end-point binding. */
const END_POINT = Symbol('end point');
type AnsweredSocket = TLSSocket & { [END_POINT]?: EndPoint | undefined };

/** What a certificate can be bound to by. */
export interface EndPoint {
  /** Undefined where RFC 5929 4.1 defines none. */
  readonly binding: Buffer | undefined;
}

/** Notes the binding to the certificate that this connection was answered with: reading it from OpenSSL takes 50 µs. */
export function noteEndPoint(socket: TLSSocket, endPoint: EndPoint | undefined): void {
  (socket as AnsweredSocket)[END_POINT] = endPoint;
}

/**
 * The security layer of a TLS connection whose handshake is complete.
 * @param peer what the other side has shown of itself, where it was asked
 */
export function securityOf(socket: TLSSocket, peer?: PeerCertificate): SecurityLayer {
  const noted = (socket as AnsweredSocket)[END_POINT];
  return new TlsLayer(socket, noted === undefined ? serverEndPoint(ownCertificate(socket)) : noted.binding, peer);
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
