/**
 * How many connections a server holds. When there is one more than may be, the one goes that has had nothing in work for longest:
 * to refuse those who come last would be simpler, but a few who hold on would shut everybody out. Of requests that are sent ahead
 * the one counts whose turn it is: what comes behind it, be it refused, or wait for a reply that is not taken, is not in work.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** Calls `go` once all that came before it on its connection is answered; never when the connection ends before. */
export function whenItsTurn(response: ServerResponse, go: () => void): void {
  if (response.socket !== null) go();
  else response.once('socket', go);
}

export function limitConnections(server: Server, most: number): void {
  /** In the order in which their last whole request had its turn, or else in which they came; and the response to that request. */
  const held = new Map<Socket, ServerResponse | null>();
  server.on('connection', (socket: Socket) => {
    held.set(socket, null);
    socket.once('close', () => held.delete(socket));
    if (held.size <= most) return;
    for (const [other, response] of held) {
      if (response?.writableEnded === false) continue;
      held.delete(other);
      other.destroy();
      return;
    }
  });
  for (const event of ['request', 'checkContinue'] as const)
    server.on(event, (request: IncomingMessage, response: ServerResponse) => {
      const note = (): void => {
        if (held.delete(request.socket)) held.set(request.socket, response);
      };
      request.once('end', () => whenItsTurn(response, note));
    });
}
