/** The port that a service is told to listen on. */
import { createServer } from 'node:net';

/** Inside a network of its own every domain uses the same one. */
export const SERVICE_PORT = 3000;

/** A port of the host that is free now, for domains that share its network. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
