import { Socket } from 'node:net';

/**
 * What fits with the head and the tag of its record in the smallest buffer that Node makes for what goes one way over TLS, 1024
 * bytes. It makes one of 16 kB more once that is full, and keeps both as long as the connection lasts.
 */
export const TLS_PIECE_BYTES = 1000;

/**
 * Has the TLSSocket that is put on a socket take in pieces what was read already. Where it reads the first bytes itself its
 * buffer has 64 kB.
 */
export function readInPieces(socket: Socket): void {
  if (socket.readableLength <= TLS_PIECE_BYTES) return;
  const read = (size?: number): Buffer | null => Socket.prototype.read.call(socket, size) as Buffer | null;
  let rest: Buffer | null = null;
  socket.read = (size?: number): Buffer | null => {
    if (size !== undefined) return read(size);
    rest ??= read();
    const piece = rest?.subarray(0, TLS_PIECE_BYTES) ?? null;
    rest = rest !== null && rest.length > TLS_PIECE_BYTES ? rest.subarray(TLS_PIECE_BYTES) : null;
    return piece;
  };
}
