/**
 * Errors of the front door itself: plain text that says why there is no reply.
 *
 * E1. A client that is still sending gets to read it: what it sends is read on and dropped for a while. Closing at
 *     once would reset the connection, and the system may then throw the text away before the client has seen it.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

/** The longest that a client that was refused may go on sending. */
const LINGER_MS = 2000;

/** Answers `status` with `text`; closes the connection if the request has not come whole. */
export function refuse(response: ServerResponse, status: number, text: string): void {
  const { req: request } = response;
  const body = `${text}\n`;
  const headers: Record<string, string | number> = {
    'content-type': 'text/plain; charset=utf-8',
    'content-length': Buffer.byteLength(body),
  };
  if (status === 503) headers['retry-after'] = 1;
  const sent = request.method === 'HEAD' ? '' : body;
  if (request.complete) return void response.writeHead(status, headers).end(sent);
  // A body that was not read would be taken for the next request.
  response.writeHead(status, { ...headers, connection: 'close' });
  response.write(sent);
  linger(request, () => response.end());
}

/** Refuses what is no HTTP request any more, such as a tunnel. */
export function refuseConnection(socket: Duplex, status: string): void {
  socket.on('error', () => {});
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
  linger(socket, () => socket.destroy());
}

/** Reads on to the end, then calls `done`: also when the client leaves, or takes too long. */
function linger(stream: IncomingMessage | Duplex, done: () => void): void {
  const timer = setTimeout(done, LINGER_MS).unref();
  const finish = (): void => {
    clearTimeout(timer);
    done();
  };
  stream.once('end', finish);
  stream.once('close', finish);
  stream.resume();
}
