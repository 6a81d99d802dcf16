/**
 * What a client sends that is no HTTP, does not come to an end, or is none any more: a tunnel.
 *
 * N1. What came before it on its connection is answered first: its error would be taken for the reply to a request that is
 *     executed.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { whenItsTurn } from '../connections.ts';
import { refuseConnection } from './refuse.ts';

/** By Node's code; all others are a 400. */
const STATUS: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: '413 Payload Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
};

export function refuseUnreadable(server: Server): void {
  /** To the last request of each connection, also one that has not come whole. */
  const last = new WeakMap<Socket, ServerResponse>();
  for (const event of ['request', 'checkContinue', 'checkExpectation'] as const)
    server.on(event, ({ socket }: IncomingMessage, response: ServerResponse) => last.set(socket, response));
  server.on('connect', ({ socket }: IncomingMessage, tunnel: Duplex) => {
    const response = last.get(socket);
    const end = (): void => refuseConnection(tunnel, '501 Not Implemented');
    // From here on, Node does not listen.
    tunnel.on('error', () => {});
    if (response === undefined || response.closed) end();
    else response.once('close', end);
  });
  const known = new WeakSet<Socket>();
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    // With each further piece Node says it again.
    if (known.has(socket)) return;
    known.add(socket);
    const response = last.get(socket);
    const end = (): void => refuseConnection(socket, STATUS[error.code ?? ''] ?? '400 Bad Request');
    if (!socket.writable) socket.destroy();
    else if (response === undefined || response.closed) end();
    else if (response.req.complete) response.once('close', end);
    // Else the connection ends with what it was refused for.
    else if (!response.headersSent) whenItsTurn(response, end);
  });
}
