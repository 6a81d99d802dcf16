/**
 * How many connections a server holds. When there is one more than may be, the one goes that has had nothing in work for longest:
 * to refuse those who come last would be simpler, but a few who hold on would shut everybody out.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

export function limitConnections(server: Server, most: number): void {
  /** In the order of their last whole request, or else in which they came; and the response to that request. */
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
    server.on(event, (request: IncomingMessage, response: ServerResponse) =>
      request.once('end', () => {
        if (held.delete(request.socket)) held.set(request.socket, response);
      }),
    );
}
